-- Of keys that were looked for, under the lane's lock, and not found.
insert into decision (
    key_hash, content_hash, customer_id, customer_version, config_version, occurred_at, decided_at, "offset", "partition",
    topic, effect, entries, rejection)
select * from unnest($1::decision_row[])
