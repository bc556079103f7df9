-- A profile that changed, and with it perhaps the accounts. See accounts_update.sql. An identifier may pass from one customer to another
-- within a batch, in any order: the indexes do not insist on uniqueness.
update customer c
set external_key = n.external_key, phone_key = n.phone_key, email_key = n.email_key, version = n.version,
    updated_at = n.updated_at, next_due = n.next_due, birth_date = n.birth_date, status = n.status,
    notify_email = n.notify_email, notify_phone = n.notify_phone, external_id = n.external_id, phone = n.phone,
    email = n.email, first_name = n.first_name, last_name = n.last_name, name = n.name,
    registered_on = n.registered_on, gender = n.gender, language = n.language, brand_id = n.brand_id,
    source_version = n.source_version, metrics = n.metrics, metadata = n.metadata, incomplete = n.incomplete,
    programme_id = n.programme_id, tier_id = n.tier_id, tier_since = n.tier_since, tier_is_manual = n.tier_is_manual,
    referrer_id = n.referrer_id, cards = n.cards,
    unit_ids = n.unit_ids, accounts = n.accounts, lots = n.lots
from unnest($1::customer_row[]) as n
where c.ctid = n.row_at and c.customer_id = n.customer_id
