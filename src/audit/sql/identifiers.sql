-- What must lead to each customer, with the key as the database computes it: a second opinion beside the worker's.
select lookup_key(c.merchant_id, i.kind, i.value), c.customer_id
from customer c
cross join lateral (values ('external_id', c.external_id), ('phone', c.phone), ('email', c.email)) as i (kind, value)
where i.value is not null;
