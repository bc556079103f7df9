-- No `on conflict`: a key that exists was not found when it was looked for, which is a second writer or a defect.
insert into decision (
    key_hash, content_hash, customer_id, customer_version, config_version, occurred_at, decided_at, "offset", "partition",
    topic, effect, entries, rejection)
select * from unnest($1::decision_row[])
