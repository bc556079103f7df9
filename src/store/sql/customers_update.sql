update customer c
set version = n.version, status = n.status, external_id = n.external_id, phone = n.phone, email = n.email,
    first_name = n.first_name, last_name = n.last_name, birth_date = n.birth_date, notify_email = n.notify_email,
    notify_phone = n.notify_phone, updated_at = n.updated_at
from unnest($1::customer_row[]) as n
where c.customer_id = n.customer_id
