-- For `offset 0` see identities.sql.
select e.customer_id, e.unit_id, e.seq, e.transaction_id, e.merchant_id, e.kind, e.amount, e.balance_after, e.lot_ids,
       e.lot_amounts, e.unit_version, e.order_id, e.reason, e.title, e.cause_topic, e.cause_partition, e.cause_offset,
       e.occurred_at, e.recorded_at
from unnest($1::entry_key[]) as k
cross join lateral (
    select * from entry e where e.customer_id = k.customer_id and e.unit_id = k.unit_id and e.seq = k.seq offset 0
) as e
