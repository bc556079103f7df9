-- Ascending, as the configuration keeps them.
select merchant_id, kind, object_id, version, effective_from, recorded_at, content
from config_version
where merchant_id = any ($1)
order by merchant_id, kind, object_id, version
