select customer_id from identity where merchant_id = $1 and kind = $2 and value = $3
