insert into object_version (merchant_id, object, object_id, version, effective_from, recorded_at, content)
select * from unnest($1::object_version_row[])
