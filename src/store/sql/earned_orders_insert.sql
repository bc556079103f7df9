insert into earned_order (
    merchant_id, order_id, unit_id, transaction_id)
select * from unnest($1::earned_order_row[])
