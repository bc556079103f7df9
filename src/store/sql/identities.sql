select i.merchant_id, i.kind, i.value, i.customer_id
from unnest($1::identity_key[]) as k
join identity i on i.merchant_id = k.merchant_id and i.kind = k.kind and i.value = k.value
