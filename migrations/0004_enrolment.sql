-- Credits that make the customer whom they name, and what is told of such a customer.
alter table customer
    add column incomplete boolean not null default false;  -- a credit made it, and no upsert has come since
alter table settings_version
    add column unknown_customer smallint not null default 1;  -- 1 reject, 2 enrol

-- Beside those of 0002, which a worker of the version before still uses.
create type customer_row_3 as (
    row_at tid, customer_id uuid, external_key uuid, phone_key uuid, email_key uuid, created_at timestamptz, birth_date date,
    status smallint, notify_email boolean, notify_phone boolean, merchant_id text, external_id text, phone text, email text,
    first_name text, last_name text, name text, registered_on date, gender smallint, language text, brand_id text,
    source_version bigint, metrics jsonb, metadata jsonb, incomplete boolean, unit_ids text[], version bigint, updated_at timestamptz,
    next_due timestamptz, accounts bytea, lots bytea
);
create type settings_version_row_3 as (
    merchant_id text, version bigint, effective_from timestamptz, recorded_at timestamptz, name text, time_zone text,
    match_by smallint[], max_age_s bigint, max_future_s bigint, email text, phone text, social jsonb, status smallint,
    on_match smallint, required_fields smallint[], phone_format smallint, allow_no_identifier boolean,
    profile_change_needs_active boolean, key_form smallint, unknown_customer smallint
);
