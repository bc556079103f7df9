-- A new epoch for a new owner: from here on the old one's transactions find another epoch in the row.
update lane
set epoch = epoch + 1
where lane = $1
returning lanes, cluster_id, consumer_group, topics, topic_ids, epoch, batch, lane_time, due_pending, positions
