-- From the end of each account's ledger, so that a long history costs nothing; within an account `seq` is the order.
select e.customer_id, e.unit_id, e.seq, e.transaction_id, e.merchant_id, e.kind, e.amount, e.balance_after, e.lot_ids,
       e.lot_amounts, e.unit_version, e.order_id, e.reason, e.title, e.cause_topic, e.cause_partition, e.cause_offset,
       e.occurred_at, e.recorded_at
from account a
cross join lateral (
    select * from entry l
    where l.customer_id = a.customer_id and l.unit_id = a.unit_id
    order by l.seq desc
    limit $2
) as e
where a.customer_id = $1
order by e.recorded_at desc, e.unit_id, e.seq desc
limit $2
