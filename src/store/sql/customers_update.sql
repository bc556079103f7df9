-- Each row is found by its key, then updated where it lies; for `offset 0` see identities.sql. Nobody else writes it meanwhile.
update customer c
set version = n.version, status = n.status, external_id = n.external_id, phone = n.phone, email = n.email,
    first_name = n.first_name, last_name = n.last_name, birth_date = n.birth_date, notify_email = n.notify_email,
    notify_phone = n.notify_phone, updated_at = n.updated_at
from unnest($1::customer_row[]) as n
cross join lateral (select ctid from customer c where c.customer_id = n.customer_id offset 0) as found
where c.ctid = found.ctid
