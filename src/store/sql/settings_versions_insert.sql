insert into settings_version (
    merchant_id, version, effective_from, recorded_at, name, time_zone, match_by, max_age_s, max_future_s, email, phone, social,
    status, on_match, required_fields, phone_format, allow_no_identifier, profile_change_needs_active, key_form,
    unknown_customer, park_s, base_tier_id, wallet_url_apple, wallet_url_google)
select * from unnest($1::settings_version_row[])
