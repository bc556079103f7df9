-- The spine: lanes, customers, accounts with their lots, the ledger, the memory of decided commands.
--
-- One lane is one writer, and a merchant's rows belong to one lane. So nothing here needs a foreign key, a trigger or a
-- constraint beyond its primary key: consistency comes from the single writer, and the audit proves it.
-- Rows are keyed by merchant or by what belongs to it, never by lane: the number of lanes can change.

-- One row per lane: the fence on this side, and how far the lane has come. Locked first in every transaction.
create table lane (
    lane            int primary key,
    lanes           int         not null,  -- how many there are; must equal every topic's partition count
    cluster_id      text        not null,  -- the Kafka cluster that the positions belong to
    consumer_group  text        not null,
    epoch           bigint      not null,  -- +1 by each owner; a writer with another epoch is not the owner any more
    batch           bigint      not null,  -- the last batch applied
    lane_time       timestamptz not null,  -- the greatest record timestamp so far
    due_pending     boolean     not null,  -- time's own work was cut at its limit and goes on with the next batch
    topics          text[]      not null,  -- command topics, in the order of the two arrays below
    topic_ids       text[]      not null,  -- Kafka's ids: a topic that was deleted and made again has another
    positions       bigint[]    not null   -- the frontier: the NEXT offset of each topic
) with (fillfactor = 10);

-- Everything that one batch has to say to Kafka, until it is known to be said.
create table outbox (
    lane             int      not null,
    batch            bigint   not null,
    positions_before bigint[] not null,
    positions_after  bigint[] not null,
    records          bytea    not null,  -- compressed; see src/store/outbox.rs
    primary key (lane, batch)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000);
alter table outbox alter column records set storage external;  -- it is compressed already

-- Records that the operator gave up: they become dead letters instead of commands.
create table skipped_record (
    topic        text        not null,
    "partition"  int         not null,
    "offset"     bigint      not null,
    reason       text        not null,
    requested_at timestamptz not null default now(),
    primary key (topic, "partition", "offset")
);

-- A merchant's settings and units, every version for ever: commands are judged by what was in force at their business time.
create table settings_version (
    merchant_id    text        not null,
    version        bigint      not null,
    effective_from timestamptz not null,  -- -infinity for the first
    recorded_at    timestamptz not null,
    name           text,
    time_zone      text        not null,
    match_by       smallint[]  not null,  -- identifier kinds: 1 external_id, 2 phone, 3 email
    max_age_s      bigint      not null,
    max_future_s   bigint      not null,
    primary key (merchant_id, version)
);
create table unit_version (
    merchant_id    text        not null,
    unit_id        text        not null,
    version        bigint      not null,
    effective_from timestamptz not null,
    recorded_at    timestamptz not null,
    name           text        not null,
    scale          smallint    not null,
    expiry_days    int,                   -- null: never
    min_held       bigint      not null,
    min_amount     bigint      not null,
    primary key (merchant_id, unit_id, version)
);

create table customer (
    customer_id  uuid primary key,        -- time-ordered, made from the position of the command that created it
    merchant_id  text        not null,
    version      bigint      not null,
    status       smallint    not null,    -- 1 active, 2 inactive
    external_id  text,
    phone        text,
    email        text,
    first_name   text,
    last_name    text,
    birth_date   date,
    notify_email boolean     not null,
    notify_phone boolean     not null,
    created_at   timestamptz not null,
    updated_at   timestamptz not null
) with (fillfactor = 85);

-- Who has an identifier. Values are normalised.
create table identity (
    merchant_id text     not null,
    kind        smallint not null,        -- 1 external_id, 2 phone, 3 email
    value       text     not null,
    customer_id uuid     not null,
    primary key (merchant_id, kind, value)
);

-- A customer's account in one unit. Its lots are packed into parallel arrays, in the order of their making, so that a credit or
-- a redeem is one update of one row; the view below unpacks them. Spent lots leave the arrays: the ledger has them.
create table account (
    customer_id       uuid        not null,
    unit_id           text        not null,
    merchant_id       text        not null,
    entries           bigint      not null,  -- seq of the last entry
    available         bigint      not null,
    pending           bigint      not null,
    held              bigint      not null,
    debt              bigint      not null,
    lifetime_earned   bigint      not null,
    lifetime_redeemed bigint      not null,
    next_due          timestamptz,           -- nothing is due before; may be early, never late
    lot_ids           uuid[]      not null,
    lot_amounts       bigint[]    not null,
    lot_remaining     bigint[]    not null,
    lot_issued_at     timestamptz[] not null,
    lot_expires_at    timestamptz[] not null,  -- null elements never expire
    primary key (customer_id, unit_id)
) with (fillfactor = 70);
-- With the whole order of what is due, so that a limit stops the scan early: a merchant's points expire by the hundred thousand at
-- one midnight.
create index account_due on account (merchant_id, next_due, customer_id, unit_id) where next_due is not null;

create view lot as
select a.merchant_id, a.customer_id, a.unit_id, l.lot_id, l.amount, l.remaining, l.issued_at, l.expires_at
from account a,
     unnest(a.lot_ids, a.lot_amounts, a.lot_remaining, a.lot_issued_at, a.lot_expires_at)
         as l (lot_id, amount, remaining, issued_at, expires_at);

-- The ledger. Append-only.
create table entry (
    customer_id     uuid        not null,
    unit_id         text        not null,
    seq             bigint      not null,
    transaction_id  uuid        not null,
    merchant_id     text        not null,
    kind            smallint    not null,   -- 1 earn_amount, 2 redeem_amount, 3 expire
    amount          bigint      not null,   -- positive; the kind tells the direction
    balance_after   bigint      not null,
    lot_ids         uuid[]      not null,
    lot_amounts     bigint[]    not null,
    unit_version    bigint,
    order_id        text,
    reason          text,
    title           text,
    cause_topic     smallint,               -- null: time did it
    cause_partition int,
    cause_offset    bigint,
    occurred_at     timestamptz not null,
    recorded_at     timestamptz not null,
    primary key (customer_id, unit_id, seq)
);

-- The memory of decided commands, kept for good: a second delivery gets the first decision again.
create table decision (
    key_hash         uuid primary key,      -- of merchant and idempotency key
    content_hash     uuid        not null,
    topic            smallint    not null,  -- 1 merchant-config, 2 customer-upsert, 3 credit, 4 redeem
    "partition"      int         not null,
    "offset"         bigint      not null,
    effect           smallint    not null,  -- 0 rejected, 1 created, 2 updated, 3 unchanged, 4 applied
    rejection        jsonb,                 -- {code, message, fields, detail}
    customer_id      uuid,
    customer_version bigint,
    config_version   bigint,
    entry_units      text[],                -- the entries that it wrote, with the column below
    entry_seqs       bigint[],
    occurred_at      timestamptz not null,
    decided_at       timestamptz not null
);

-- One accepted earning per merchant, order and unit.
create table earned_order (
    merchant_id    text   not null,
    order_id       text   not null,
    unit_id        text   not null,
    transaction_id uuid   not null,
    primary key (merchant_id, order_id, unit_id)
);

-- The shapes in which the worker sends keys and rows: a whole batch of them is one parameter, an array of these, so that each table
-- takes one statement (as fast as COPY, and it can be pipelined), and arrays within a row need no flattening.
-- A type that has been released is never altered: a new column gets a new type beside it, so that workers of the version before can
-- go on while the new schema is in place.
create type identity_key as (merchant_id text, kind smallint, value text);
create type earned_order_key as (merchant_id text, order_id text, unit_id text);
create type entry_key as (customer_id uuid, unit_id text, seq bigint);

create type settings_version_row as (
    merchant_id text, version bigint, effective_from timestamptz, recorded_at timestamptz, name text, time_zone text,
    match_by smallint[], max_age_s bigint, max_future_s bigint
);
create type unit_version_row as (
    merchant_id text, unit_id text, version bigint, effective_from timestamptz, recorded_at timestamptz, name text,
    scale smallint, expiry_days int, min_held bigint, min_amount bigint
);
create type customer_row as (
    customer_id uuid, merchant_id text, version bigint, status smallint, external_id text, phone text, email text,
    first_name text, last_name text, birth_date date, notify_email boolean, notify_phone boolean, created_at timestamptz,
    updated_at timestamptz
);
create type identity_row as (merchant_id text, kind smallint, value text, customer_id uuid);
create type account_row as (
    customer_id uuid, unit_id text, merchant_id text, entries bigint, available bigint, pending bigint, held bigint,
    debt bigint, lifetime_earned bigint, lifetime_redeemed bigint, next_due timestamptz, lot_ids uuid[],
    lot_amounts bigint[], lot_remaining bigint[], lot_issued_at timestamptz[], lot_expires_at timestamptz[]
);
create type entry_row as (
    customer_id uuid, unit_id text, seq bigint, transaction_id uuid, merchant_id text, kind smallint, amount bigint,
    balance_after bigint, lot_ids uuid[], lot_amounts bigint[], unit_version bigint, order_id text, reason text, title text,
    cause_topic smallint, cause_partition int, cause_offset bigint, occurred_at timestamptz, recorded_at timestamptz
);
create type decision_row as (
    key_hash uuid, content_hash uuid, topic smallint, "partition" int, "offset" bigint, effect smallint, rejection jsonb,
    customer_id uuid, customer_version bigint, config_version bigint, entry_units text[], entry_seqs bigint[],
    occurred_at timestamptz, decided_at timestamptz
);
create type earned_order_row as (merchant_id text, order_id text, unit_id text, transaction_id uuid);
