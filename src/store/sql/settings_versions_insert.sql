insert into settings_version (
    merchant_id, version, effective_from, recorded_at, name, time_zone, match_by, max_age_s, max_future_s)
select * from unnest($1::settings_version_row[])
