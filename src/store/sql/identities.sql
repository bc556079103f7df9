-- `offset 0` keeps the inner select apart, so that there is one plan: each key, one look-up in the index. Left free, a plan that was
-- made while the table was young scans the keys once for each of its rows, and is kept when there are millions.
select i.merchant_id, i.kind, i.value, i.customer_id
from unnest($1::identity_key[]) as k
cross join lateral (
    select * from identity i where i.merchant_id = k.merchant_id and i.kind = k.kind and i.value = k.value offset 0
) as i
