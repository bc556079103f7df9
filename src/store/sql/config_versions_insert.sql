insert into config_version (merchant_id, kind, object_id, version, effective_from, recorded_at, content)
select * from unnest($1::config_version_row[])
