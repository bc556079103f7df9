insert into earned_order (order_key, transaction_id)
select * from unnest($1::earned_order_row[])
