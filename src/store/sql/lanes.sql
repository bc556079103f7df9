select lanes, cluster_id, consumer_group, topic_prefix, topic_ids, epoch, batch, lane_time, due_pending, positions, lane from lane order by lane
