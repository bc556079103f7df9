-- Ascending, as the configuration keeps them.
select merchant_id, object, object_id, version, effective_from, recorded_at, content
from object_version
where merchant_id = any ($1)
order by merchant_id, object, object_id, version
