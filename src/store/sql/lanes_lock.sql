-- All of them, in one order: whoever works on one commits first, and whoever wants one waits.
select lanes, cluster_id, consumer_group, topic_prefix, topic_ids, epoch, batch, lane_time, due_pending, positions, lane, halted
from lane
order by lane
for update
