select customer_id, merchant_id, version, status, external_id, phone, email, first_name, last_name, birth_date,
       notify_email, notify_phone, created_at, updated_at
from customer
where customer_id = any ($1)
