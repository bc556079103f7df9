select customer_id, unit_id, merchant_id, entries, available, pending, held, debt, lifetime_earned, lifetime_redeemed, next_due,
       lot_ids, lot_amounts, lot_remaining, lot_issued_at, lot_expires_at
from account;
