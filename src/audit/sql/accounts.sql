-- One row for each customer: the audit unpacks the accounts itself, as the customer's states do.
select customer_id, merchant_id, next_due, unit_ids, accounts, lots
from customer
where $1::uuid[] is null or customer_id = any($1);
