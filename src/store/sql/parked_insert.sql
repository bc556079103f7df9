insert into parked (
    seed, lane, place, "offset", "partition", topic, record_time, parked_at, deadline, config_version, awaited_key, key_hash,
    content_hash, merchant_id, command)
select * from unnest($1::parked_row[])
