select customer_id from identity where identity_key = $1
