select identity_key, customer_id from identity where identity_key = any ($1)
