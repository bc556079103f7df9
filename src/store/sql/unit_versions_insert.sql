insert into unit_version (
    merchant_id, unit_id, version, effective_from, recorded_at, name, scale, expiry_days, min_held, min_amount)
select * from unnest($1::unit_version_row[])
