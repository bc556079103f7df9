-- Tiers, stamp cards and programmes, every version for ever. What they consist of is a document: it is read whole, by the worker, and few
-- ask it anything else.
create table object_version (
    merchant_id    text collate "C" not null,
    object         smallint    not null,  -- 1 tier, 2 card, 3 programme
    object_id      text collate "C" not null,
    version        bigint      not null,
    effective_from timestamptz not null,  -- -infinity for the first
    recorded_at    timestamptz not null,
    content        jsonb       not null,  -- see src/store/object_rows.rs
    primary key (merchant_id, object, object_id, version)
);
create type object_version_row as (
    merchant_id text, object smallint, object_id text, version bigint, effective_from timestamptz, recorded_at timestamptz, content jsonb
);

-- What a customer belongs to. As of the profile's other fields, null costs nothing but its bit.
alter table customer
    add column programme_id   text,
    add column tier_id        text,
    add column tier_since     timestamptz,  -- lane time; null without a tier, as the next
    add column tier_is_manual boolean,
    add column referrer_id    uuid,
    add column cards          jsonb;        -- [{card_id, enrolled_at}] in their order, which is in the codes; microseconds; null: none

alter table settings_version
    add column base_tier_id      text,
    add column wallet_url_apple  text,
    add column wallet_url_google text;

-- Of `entry.kind`, 4 is stamp: the unit is the card's id.

-- Beside those of 0004 and 0006, which a worker of the version before still uses.
create type customer_row_4 as (
    row_at tid, customer_id uuid, external_key uuid, phone_key uuid, email_key uuid, created_at timestamptz, birth_date date,
    status smallint, notify_email boolean, notify_phone boolean, merchant_id text, external_id text, phone text, email text,
    first_name text, last_name text, name text, registered_on date, gender smallint, language text, brand_id text,
    source_version bigint, metrics jsonb, metadata jsonb, incomplete boolean, programme_id text, tier_id text, tier_since timestamptz,
    tier_is_manual boolean, referrer_id uuid, cards jsonb, unit_ids text[], version bigint, updated_at timestamptz,
    next_due timestamptz, accounts bytea, lots bytea
);
create type settings_version_row_5 as (
    merchant_id text, version bigint, effective_from timestamptz, recorded_at timestamptz, name text, time_zone text,
    match_by smallint[], max_age_s bigint, max_future_s bigint, email text, phone text, social jsonb, status smallint,
    on_match smallint, required_fields smallint[], phone_format smallint, allow_no_identifier boolean,
    profile_change_needs_active boolean, key_form smallint, unknown_customer smallint, park_s bigint, base_tier_id text,
    wallet_url_apple text, wallet_url_google text
);
