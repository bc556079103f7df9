-- An array of rows is as fast as COPY here (1,000 rows: 7.0 ms, COPY 7.2), and COPY would need a round trip of its own.
insert into entry (
    customer_id, unit_id, seq, transaction_id, merchant_id, kind, amount, balance_after, lot_ids, lot_amounts,
    unit_version, order_id, reason, title, cause_topic, cause_partition, cause_offset, occurred_at, recorded_at)
select * from unnest($1::entry_row[])
