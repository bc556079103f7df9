select merchant_id, 'settings' as object, null as unit_id, version from settings_version
union all
select merchant_id, 'unit', unit_id, version from unit_version
union all
select merchant_id, case object when 1 then 'tier' when 2 then 'card' when 3 then 'programme' else object::text end, object_id, version
from object_version;
