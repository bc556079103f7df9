-- The status as the world calls it; a number that has no name is shown as such, and will differ.
select customer_id, merchant_id, version,
       case status when 1 then 'active' when 2 then 'inactive' else status::text end as status,
       external_id, phone, email, first_name, last_name, to_char(birth_date, 'YYYY-MM-DD') as birth_date,
       notify_email, notify_phone, created_at, updated_at, name,
       gender,
       to_char(registered_on, 'YYYY-MM-DD') as registered_on, language, brand_id, source_version, metrics, metadata,
       incomplete, programme_id, tier_id, tier_since, tier_is_manual, referrer_id, cards
from customer
where $1::uuid[] is null or customer_id = any($1);
