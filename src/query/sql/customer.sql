-- A phone may be two customers', in the two forms that it may be stored in: the first form counts.
select customer_id, version, created_at, updated_at, birth_date, status, notify_email, notify_phone, merchant_id, external_id,
       phone, email, first_name, last_name, name, registered_on, gender, language, brand_id, source_version, metrics, metadata,
       incomplete, programme_id, tier_id, tier_since, tier_is_manual, referrer_id, cards, unit_ids, accounts, lots
from customer
where merchant_id = $1 and (customer_id = $2 or external_key = any ($3) or phone_key = any ($3) or email_key = any ($3))
order by array_position($3, phone_key)
limit 1
