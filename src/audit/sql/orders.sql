select merchant_id, order_id, unit_id, transaction_id from earned_order;
