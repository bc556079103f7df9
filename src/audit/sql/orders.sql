select order_key, transaction_id from earned_order;
