-- Before the inserts: an identifier may pass from one customer to another within a batch.
delete from identity i
using unnest($1::identity_key[]) as k
where i.merchant_id = k.merchant_id and i.kind = k.kind and i.value = k.value
