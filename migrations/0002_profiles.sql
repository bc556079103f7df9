-- The whole profile of a customer, and what a merchant may ask of it. Null costs nothing but its bit: a customer without these fields has
-- a row as long as before.
alter table customer
    add column name           text,
    add column registered_on  date,
    add column gender         smallint,  -- 1 male, 2 female, 3 other, 4 unspecified
    add column language       text,
    add column brand_id       text,
    add column source_version bigint,    -- the sender's, of the last upsert that named one
    add column metrics        jsonb,     -- {key: {value, scale}}; null: none
    add column metadata       jsonb;     -- {key: text}; null: none

alter table settings_version
    add column email                       text,
    add column phone                       text,
    add column social                      jsonb      not null default '{}',
    add column status                      smallint   not null default 1,  -- 1 active, 2 suspended
    add column on_match                    smallint   not null default 1,  -- 1 update, 2 keep, 3 fill_missing, 4 reject
    add column required_fields             smallint[] not null default '{}',  -- see src/domain/profile.rs
    add column phone_format                smallint   not null default 1,  -- 1 e164, 2 any
    add column allow_no_identifier         boolean    not null default false,
    add column profile_change_needs_active boolean    not null default false,
    add column key_form                    smallint   not null default 1;  -- 1 any, 2 token

alter table unit_version
    add column description       text,
    add column kind              smallint not null default 1,  -- 1 points, 2 money, 3 discount, 4 product
    add column currency          text,
    add column brand_id          text,
    add column value_numerator   bigint,  -- null: the unit has no value in money
    add column value_denominator bigint,
    add column value_currency    text,
    add column rounding          smallint not null default 1,  -- 1 floor, 2 half_up, 3 half_even, 4 ceiling
    add column step              bigint   not null default 1,
    add column attributes        jsonb    not null default '{}';

-- Why a lane stands still, while it does: for people only. The worker looks at the cause itself.
alter table lane add column halted text;

-- Beside those of 0001, which a worker of the version before still uses.
create type customer_row_2 as (
    row_at tid, customer_id uuid, external_key uuid, phone_key uuid, email_key uuid, created_at timestamptz, birth_date date,
    status smallint, notify_email boolean, notify_phone boolean, merchant_id text, external_id text, phone text, email text,
    first_name text, last_name text, name text, registered_on date, gender smallint, language text, brand_id text,
    source_version bigint, metrics jsonb, metadata jsonb, unit_ids text[], version bigint, updated_at timestamptz,
    next_due timestamptz, accounts bytea, lots bytea
);
create type settings_version_row_2 as (
    merchant_id text, version bigint, effective_from timestamptz, recorded_at timestamptz, name text, time_zone text,
    match_by smallint[], max_age_s bigint, max_future_s bigint, email text, phone text, social jsonb, status smallint,
    on_match smallint, required_fields smallint[], phone_format smallint, allow_no_identifier boolean,
    profile_change_needs_active boolean, key_form smallint
);
create type unit_version_row_2 as (
    merchant_id text, unit_id text, version bigint, effective_from timestamptz, recorded_at timestamptz, name text,
    scale smallint, expiry_days int, min_held bigint, min_amount bigint, description text, kind smallint, currency text,
    brand_id text, value_numerator bigint, value_denominator bigint, value_currency text, rounding smallint, step bigint,
    attributes jsonb
);
