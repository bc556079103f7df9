-- Before the inserts: an identifier may pass from one customer to another within a batch. For `offset 0` see identities.sql.
delete from identity i
using unnest($1::identity_key[]) as k
cross join lateral (
    select ctid from identity i where i.merchant_id = k.merchant_id and i.kind = k.kind and i.value = k.value offset 0
) as found
where i.ctid = found.ctid
