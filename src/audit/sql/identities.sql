select merchant_id, kind, value, customer_id from identity;
