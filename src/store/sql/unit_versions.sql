-- Ascending, as the configuration keeps them.
select merchant_id, unit_id, version, effective_from, recorded_at, name, scale, expiry_days, min_held, min_amount
from unit_version
where merchant_id = any ($1)
order by merchant_id, unit_id, version
