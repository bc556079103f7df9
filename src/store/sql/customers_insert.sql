insert into customer (
    customer_id, external_key, phone_key, email_key, version, created_at, updated_at, next_due, birth_date, status,
    notify_email, notify_phone, merchant_id, external_id, phone, email, first_name, last_name, unit_ids, accounts, lots)
select customer_id, external_key, phone_key, email_key, version, created_at, updated_at, next_due, birth_date, status,
       notify_email, notify_phone, merchant_id, external_id, phone, email, first_name, last_name, unit_ids, accounts, lots
from unnest($1::customer_row[])
