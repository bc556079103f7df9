insert into parked (seed, lane, place, deadline, awaited_key, key_hash, merchant_id, content)
select * from unnest($1::parked_row[])
