-- A new epoch for a new owner: from here on the old one's transactions find another epoch in the row. It is a time too, so that a database
-- that was set back gives no epoch a second time, which its old owner could take for its own.
update lane
set epoch = greatest(epoch + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint), owner = $2
where lane = $1
returning lanes, cluster_id, consumer_group, topics, topic_ids, epoch, batch, lane_time, due_pending, positions
