select transaction_id, previous, customer_id, seq, amount, balance_after, unit_version, occurred_at, recorded_at, cause_offset,
       cause_partition, cause_topic, kind, unit_id, lots, order_id, reason, title
from entry
where transaction_id = any ($1)
