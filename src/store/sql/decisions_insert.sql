-- No `on conflict`: a key that exists was not found when it was looked for, which is a second writer or a defect.
insert into decision (
    key_hash, content_hash, topic, "partition", "offset", effect, rejection, customer_id, customer_version,
    config_version, entry_units, entry_seqs, occurred_at, decided_at)
select * from unnest($1::decision_row[])
