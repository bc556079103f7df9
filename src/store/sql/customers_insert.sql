insert into customer (
    customer_id, merchant_id, version, status, external_id, phone, email, first_name, last_name, birth_date,
    notify_email, notify_phone, created_at, updated_at)
select * from unnest($1::customer_row[])
