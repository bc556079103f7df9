select customer_id, version, created_at, updated_at, birth_date, status, notify_email, notify_phone, merchant_id, external_id,
       phone, email, first_name, last_name, unit_ids, accounts, lots
from customer
where merchant_id = $1 and (customer_id = $2 or external_key = $3 or phone_key = $3 or email_key = $3)
