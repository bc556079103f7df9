insert into customer (
    customer_id, external_key, phone_key, email_key, created_at, birth_date, status, notify_email, notify_phone, merchant_id,
    external_id, phone, email, first_name, last_name, name, registered_on, gender, language, brand_id, source_version, metrics,
    metadata, incomplete, programme_id, tier_id, tier_since, tier_is_manual, referrer_id, cards, unit_ids, version, updated_at, next_due, accounts, lots)
select customer_id, external_key, phone_key, email_key, created_at, birth_date, status, notify_email, notify_phone, merchant_id,
       external_id, phone, email, first_name, last_name, name, registered_on, gender, language, brand_id, source_version, metrics,
       metadata, incomplete, programme_id, tier_id, tier_since, tier_is_manual, referrer_id, cards, unit_ids, version, updated_at, next_due, accounts, lots
from unnest($1::customer_row[])
