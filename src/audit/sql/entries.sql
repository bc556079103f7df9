-- The order's key as the database computes it: a second opinion beside the worker's. An entry without a customer is found by its account.
select e.customer_id, e.unit_id, e.seq, e.transaction_id, e.previous, coalesce(c.merchant_id, '') as merchant_id, e.kind, e.amount,
       e.balance_after, e.lots, case when e.order_id is not null then lookup_key(c.merchant_id, 'earned_order', e.order_id, e.unit_id) end,
       e.cause_topic, e.cause_partition, e.cause_offset, e.occurred_at, e.recorded_at
from entry e
left join customer c using (customer_id)
where $1::uuid[] is null or e.transaction_id = any($1);
