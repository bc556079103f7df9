select order_key, transaction_id from earned_order
where $1::uuid[] is null or order_key = any($1);
