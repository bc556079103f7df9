-- Commands that wait for their customer: see src/domain/parking.rs. A row is deleted once its command is decided; `decision` has it then.
create table parked (
    seed           uuid primary key,       -- a digest of the record's place: what it makes gets its ids from it, and from its time
    lane           int         not null,   -- of its merchant: that of its partition, until the lanes grow
    place          bigint      not null,   -- greater than that of every record that the lane had before
    "offset"       bigint      not null,
    "partition"    int         not null,
    topic          smallint    not null,   -- as in `decision`
    record_time    timestamptz not null,
    parked_at      timestamptz not null,   -- lane time
    deadline       timestamptz not null,
    config_version bigint,                 -- the settings that let it wait
    awaited_key    uuid        not null,   -- as `customer` has it of the identifier: external_key, phone_key or email_key
    key_hash       uuid        not null,   -- as `decision` will have it; that of a further delivery is the same
    content_hash   uuid        not null,
    merchant_id    text collate "C" not null,
    command        bytea       not null    -- as JSON: see src/store/parked_rows.rs
-- As of the outbox, rows come and go.
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000);
create index parked_awaited on parked (awaited_key);
create index parked_key on parked (key_hash);
create index parked_due on parked (lane, deadline, place);

create type parked_row as (
    seed uuid, lane int, place bigint, "offset" bigint, "partition" int, topic smallint, record_time timestamptz, parked_at timestamptz,
    deadline timestamptz, config_version bigint, awaited_key uuid, key_hash uuid, content_hash uuid, merchant_id text, command bytea
);

-- Of `unknown_customer`, 3 is park.
alter table settings_version
    add column park_s bigint not null default 86400;  -- how long a command waits
-- Instead of that of 0004, which no release has used.
create type settings_version_row_4 as (
    merchant_id text, version bigint, effective_from timestamptz, recorded_at timestamptz, name text, time_zone text,
    match_by smallint[], max_age_s bigint, max_future_s bigint, email text, phone text, social jsonb, status smallint,
    on_match smallint, required_fields smallint[], phone_format smallint, allow_no_identifier boolean,
    profile_change_needs_active boolean, key_form smallint, unknown_customer smallint, park_s bigint
);
