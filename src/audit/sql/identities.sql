select identity_key, customer_id from identity;
