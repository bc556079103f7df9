-- For `offset 0` see identities.sql.
select o.merchant_id, o.order_id, o.unit_id, o.transaction_id
from unnest($1::earned_order_key[]) as k
cross join lateral (
    select *
    from earned_order o
    where o.merchant_id = k.merchant_id and o.order_id = k.order_id and o.unit_id = k.unit_id
    offset 0
) as o
