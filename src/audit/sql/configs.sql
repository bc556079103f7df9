select merchant_id, 'settings' as object, null as unit_id, version from settings_version
union all
select merchant_id, 'unit', unit_id, version from unit_version;
