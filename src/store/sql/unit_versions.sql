-- Ascending, as the configuration keeps them.
select merchant_id, unit_id, version, effective_from, recorded_at, name, scale, expiry_days, min_held, min_amount,
       description, kind, currency, brand_id, value_numerator, value_denominator, value_currency, rounding, step, attributes
from unit_version
where merchant_id = any ($1)
order by merchant_id, unit_id, version
