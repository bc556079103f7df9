insert into unit_version (
    merchant_id, unit_id, version, effective_from, recorded_at, name, scale, expiry_days, min_held, min_amount, description, kind,
    currency, brand_id, value_numerator, value_denominator, value_currency, rounding, step, attributes)
select * from unnest($1::unit_version_row[])
