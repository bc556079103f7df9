-- A new epoch for a new owner: from here on the old one's transactions find another epoch in the row. It is a time too, so that a database
-- that was set back gives no epoch a second time, which its old owner could take for its own. A topic that the lane did not have yet is its
-- own from now on.
update lane
set epoch = greatest(epoch + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint), owner = $2, topic_ids = $3::jsonb || topic_ids
where lane = $1
returning lanes, cluster_id, consumer_group, topic_prefix, topic_ids, epoch, batch, lane_time, due_pending, positions
