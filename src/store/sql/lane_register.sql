-- A lane that exists keeps its row: registering again must never move a frontier.
insert into lane (lane, lanes, cluster_id, consumer_group, epoch, batch, lane_time, due_pending, topic_prefix, topic_ids, positions)
values ($1, $2, $3, $4, 0, 0, $5, false, $6, $7, $8)
on conflict (lane) do nothing
