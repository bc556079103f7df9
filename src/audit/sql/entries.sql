select customer_id, unit_id, seq, transaction_id, merchant_id, kind, amount, balance_after, lot_ids, lot_amounts, order_id,
       cause_topic, cause_partition, cause_offset, occurred_at, recorded_at
from entry;
