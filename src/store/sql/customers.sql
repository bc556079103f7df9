-- By id or identifier, with their accounts and lots. And where the row lies: the transaction that has found it can update it there, since
-- nobody else writes it and the table can't be rewritten meanwhile.
select ctid, customer_id, version, created_at, updated_at, birth_date, status, notify_email, notify_phone, merchant_id,
       external_id, phone, email, first_name, last_name, name, registered_on,
       gender, language, brand_id, source_version, metrics, metadata, incomplete, programme_id, tier_id,
       tier_since, tier_is_manual, referrer_id, cards, unit_ids, accounts, lots
from customer
where customer_id = any ($1) or external_key = any ($2) or phone_key = any ($3) or email_key = any ($4)
