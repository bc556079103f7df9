-- An array of rows is as fast as COPY here (1,000 rows: 7.0 ms, COPY 7.2), and COPY would need a round trip of its own.
insert into entry (
    transaction_id, previous, customer_id, seq, amount, balance_after, unit_version, occurred_at, recorded_at, cause_offset,
    cause_partition, cause_topic, kind, unit_id, lots, order_id, reason, title)
select * from unnest($1::entry_row[])
