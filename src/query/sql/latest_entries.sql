-- Along each account's chain from its last entry ($1), so that a long history costs nothing.
with recursive latest as (
    select e.*, 1 as place
    from entry e
    where e.transaction_id = any ($1)
    union all
    select e.*, l.place + 1
    from latest l
    join entry e on e.transaction_id = l.previous
    where l.place < $2
)
select transaction_id, previous, customer_id, seq, amount, balance_after, unit_version, occurred_at, recorded_at, cause_offset,
       cause_partition, cause_topic, kind, unit_id, lots, order_id, reason, title
from latest
order by recorded_at desc, unit_id, seq desc
limit $2::int
