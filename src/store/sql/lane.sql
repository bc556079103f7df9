-- For whoever only looks: no lock, no new epoch.
select lanes, cluster_id, consumer_group, topic_prefix, topic_ids, epoch, batch, lane_time, due_pending, positions
from lane
where lane = $1
