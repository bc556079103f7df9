select order_key, transaction_id from earned_order where order_key = any ($1)
