-- All accounts of a customer, not only those that commands name: results and customer states show them all.
select customer_id, unit_id, merchant_id, entries, available, pending, held, debt, lifetime_earned, lifetime_redeemed,
       next_due, lot_ids, lot_amounts, lot_remaining, lot_issued_at, lot_expires_at
from account
where customer_id = any ($1)
order by customer_id, unit_id
