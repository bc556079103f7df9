select o.merchant_id, o.order_id, o.unit_id, o.transaction_id
from unnest($1::earned_order_key[]) as k
join earned_order o on o.merchant_id = k.merchant_id and o.order_id = k.order_id and o.unit_id = k.unit_id
