-- What leads to each customer, and what must, with the key as the database computes it: a second opinion beside the worker's.
select c.customer_id, i.key, case when i.value is not null then lookup_key(c.merchant_id, i.kind, i.value) end as due
from customer c
cross join lateral (values
    ('external_id', c.external_id, c.external_key), ('phone', c.phone, c.phone_key), ('email', c.email, c.email_key)
) as i (kind, value, key)
where (i.value is not null or i.key is not null) and ($1::uuid[] is null or c.customer_id = any($1));
