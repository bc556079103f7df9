-- Lanes, configuration, customers with their accounts and lots, the ledger, the memory of decided commands.
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
    topic_prefix    text        not null,  -- of the names of the topics
    topic_ids       jsonb       not null,  -- {topic: Kafka's id of it}: one that was deleted and made again has another
    positions       jsonb       not null,  -- {topic: its NEXT offset}, the frontier: one that is not in it is read from its beginning
    owner           text,                  -- who raised the epoch last: for people, and for the log of the owner before
    halted          text,                  -- why the lane stands still, while it does: for people only
    halted_topic    text,                  -- with halted_offset: the record that halts the lane, which is what `skip` may give up
    halted_offset   bigint,
    grown_from      int                    -- how many lanes there were at first; null where there was never another number
) with (fillfactor = 10);

-- Everything that one batch has to say to Kafka, until it is known to be said.
create table outbox (
    lane             int      not null,
    batch            bigint   not null,
    positions_before jsonb    not null,  -- as in `lane`
    positions_after  jsonb    not null,
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

-- Records that an operator has sent again, from their dead letters. A row is written in a transaction that commits once the broker has the new
-- record, so that none is sent again a second time unless an operator asks for it.
create table replayed_record (
    topic         text        not null,  -- where the record was that became a dead letter
    "partition"   int         not null,
    "offset"      bigint      not null,
    replayed_at   timestamptz not null default now(),  -- the last time
    times         int         not null default 1,
    new_partition int,                   -- where it is since, in the same topic; null only before the broker has it
    new_offset    bigint,
    primary key (topic, "partition", "offset")
);

-- What a merchant configures, every version for ever: commands are judged by what was in force at their business time.
create table config_version (
    merchant_id    text collate "C" not null,
    kind           text collate "C" not null,  -- settings, unit, tier, card, programme
    object_id      text collate "C" not null,  -- empty for settings
    version        bigint      not null,
    effective_from timestamptz not null,       -- -infinity for the first
    recorded_at    timestamptz not null,
    content        json        not null,       -- the fields of the command that would make it
    primary key (merchant_id, kind, object_id, version)
);

-- What is looked up by text is keyed by a digest of it: the first half of SHA-256 over the parts, with a byte 0 between them. One
-- fixed width, one comparison, and rows of half the size. This is the same digest, for people and for the audit:
--   select * from decision where key_hash = lookup_key('shop-1', 'order-17');
create function lookup_key(variadic parts text[]) returns uuid
language sql immutable parallel safe
return (
    select encode(substring(sha256(string_agg(convert_to(part, 'UTF8'), '\x00'::bytea order by place)), 1, 16), 'hex')::uuid
    from unnest(parts) with ordinality as p (part, place)
);

-- Numbers are packed as Postgres sends them, eight bytes each, the least one for null. An array of them would be parsed and printed
-- number by number, which cost as much as all else of the row. These take one out, from place 0; a UUID takes two places.
create function number_at(packed bytea, place int) returns bigint
language sql immutable strict parallel safe
return nullif(('x' || encode(substring(packed, place * 8 + 1, 8), 'hex'))::bit(64)::bigint, -9223372036854775808);
create function uuid_at(packed bytea, place int) returns uuid
language sql immutable strict parallel safe
return nullif(encode(substring(packed, place * 8 + 1, 16), 'hex')::uuid, '80000000-0000-0000-8000-000000000000');
create function instant_at(packed bytea, place int) returns timestamptz
language sql immutable strict parallel safe
return 'epoch'::timestamptz + number_at(packed, place) * interval '1 microsecond';

-- A customer is one row: profile, accounts and lots. So a credit or a redeem finds everything with one look-up, and is one update of one
-- row. Accounts and lots are packed; the views `account` and `lot` unpack them. Spent lots leave their place: the ledger has them.
-- What a credit changes stands at the end, so that the log of an update leaves out all that stands before it.
create table customer (
    customer_id  uuid primary key,        -- time-ordered, made from the position of the command that created it
    external_key uuid,                    -- lookup_key(merchant_id, 'external_id', external_id); null where that is null
    phone_key    uuid,                    -- in the same way; the values are normalised
    email_key    uuid,
    created_at   timestamptz not null,
    birth_date   date,
    status       smallint    not null,    -- 1 active, 2 inactive
    notify_email boolean     not null,
    notify_phone boolean     not null,
    merchant_id  text collate "C" not null,
    external_id  text,
    phone        text,
    email        text,
    first_name   text,
    last_name    text,
    -- Null costs nothing but its bit: a customer without these fields has a row that is no longer for them.
    name           text,
    registered_on  date,
    gender         text,                  -- male, female, other, unspecified
    language       text,
    brand_id       text,
    source_version bigint,                -- the sender's, of the last upsert that named one
    metrics        jsonb,                 -- {key: {value, scale}}; null: none
    metadata       jsonb,                 -- {key: text}; null: none
    incomplete     boolean     not null,  -- a credit made it, and no upsert has come since
    programme_id   text,
    tier_id        text,
    tier_since     timestamptz,           -- lane time; null without a tier, as the next
    tier_is_manual boolean,
    referrer_id    uuid,
    cards          jsonb,                 -- [{card_id, enrolled_at}] in their order, which is in the codes; microseconds; null: none
    unit_ids     text[] collate "C" not null,  -- of the accounts, ascending
    version      bigint      not null,    -- +1 with every change of anything here
    updated_at   timestamptz not null,
    next_due     timestamptz,             -- nothing is due in any account before; may be early, never late
    accounts     bytea       not null,    -- ten numbers for each account: see the view `account`
    lots         bytea       not null     -- seven numbers for each lot: see the view `lot`
) with (fillfactor = 75);
-- Compressing a row that has outgrown its page would cost more than the update.
alter table customer alter column accounts set storage external, alter column lots set storage external;
-- Identifiers are unique within their merchant. That is the single writer's care, as all else is, and these need not check it again.
create index customer_external_key on customer (external_key) where external_key is not null;
create index customer_phone_key on customer (phone_key) where phone_key is not null;
create index customer_email_key on customer (email_key) where email_key is not null;
-- With the whole order of what is due, so that a limit stops the scan early: a merchant's points expire by the hundred thousand at
-- one midnight.
create index customer_due on customer (merchant_id, next_due, customer_id) where next_due is not null;

create view account as
select c.merchant_id, c.customer_id, u.unit_id,
       number_at(c.accounts, a) as entries,  -- seq of the last entry
       uuid_at(c.accounts, a + 1) as last_entry,  -- its transaction_id; null before the first
       number_at(c.accounts, a + 3) as available, number_at(c.accounts, a + 4) as pending, number_at(c.accounts, a + 5) as held,
       number_at(c.accounts, a + 6) as debt, number_at(c.accounts, a + 7) as lifetime_earned,
       number_at(c.accounts, a + 8) as lifetime_redeemed, instant_at(c.accounts, a + 9) as next_due
from customer c
cross join lateral unnest(c.unit_ids) with ordinality as u (unit_id, place)
cross join lateral (values ((u.place::int - 1) * 10)) as at (a);

-- In the order of their making. The first number says whose: the account's place.
create view lot as
select c.merchant_id, c.customer_id, c.unit_ids[number_at(c.lots, l)] as unit_id, uuid_at(c.lots, l + 1) as lot_id,
       number_at(c.lots, l + 3) as amount, number_at(c.lots, l + 4) as remaining,
       instant_at(c.lots, l + 5) as issued_at, instant_at(c.lots, l + 6) as expires_at  -- null: never
from customer c, generate_series(0, length(c.lots) / 8 - 1, 7) as l;

-- The ledger. Append-only, in the order of time, and each account's entries are a chain from its last to its first: a second index
-- by account would be one random page for each entry.
create table entry (
    transaction_id  uuid primary key,       -- time-ordered, made from the position of the command or from what was due
    previous        uuid,                   -- the account's entry before; null for the first
    customer_id     uuid        not null,
    seq             bigint      not null,   -- from 1, without gaps, within the account
    amount          bigint      not null,   -- positive; the kind tells the direction
    balance_after   bigint      not null,
    unit_version    bigint,
    occurred_at     timestamptz not null,
    recorded_at     timestamptz not null,
    cause_offset    bigint,
    cause_partition int,
    cause_topic     smallint,               -- null: time did it
    kind            smallint    not null,   -- 1 earn_amount, 2 redeem_amount, 3 expire, 4 stamp: the unit is the card's id
    unit_id         text collate "C" not null,
    lots            bytea,                  -- three numbers for each lot: its id, the amount; null: its own lot
    order_id        text,
    reason          text,
    title           text
);

create view entry_lot as
select e.transaction_id, e.customer_id, e.unit_id, uuid_at(e.lots, l) as lot_id, number_at(e.lots, l + 2) as amount
from entry e, generate_series(0, length(e.lots) / 8 - 1, 3) as l
union all
select transaction_id, customer_id, unit_id, transaction_id, amount from entry where lots is null;

-- The memory of decided commands, kept for good: a second delivery gets the first decision again.
create table decision (
    key_hash         uuid primary key,      -- lookup_key(merchant, idempotency key)
    content_hash     uuid        not null,
    customer_id      uuid,
    customer_version bigint,
    config_version   bigint,
    occurred_at      timestamptz not null,
    decided_at       timestamptz not null,
    "offset"         bigint      not null,
    "partition"      int         not null,
    topic            smallint    not null,  -- 1 merchant-config, 2 customer-upsert, 3 customer-lifecycle, 4 credit, 5 redeem, 6 reservation, 7 reversal
    effect           smallint    not null,  -- 0 rejected, 1 created, 2 updated, 3 unchanged, 4 applied
    entries          uuid[],                -- the transaction_ids of the entries that it wrote; null: none
    rejection        jsonb                  -- {code, message, fields, detail}
);

-- What rules remember beside that, each thing under a key of its own: see src/domain/ledger/memory.rs.
create table memory (
    key     uuid primary key,   -- lookup_key(merchant_id, kind, what names it)
    kind    smallint not null,  -- 1 earned_order
    content bytea    not null   -- in postcard's format
);
-- One accepted earning per merchant, order and unit: lookup_key(merchant_id, 'earned_order', order_id, unit_id).
create view earned_order as
select key as order_key, encode(substring(content, 3), 'hex')::uuid as transaction_id from memory where kind = 1;

-- Commands that wait for their customer: see src/domain/parking.rs. A row is deleted once its command is decided; `decision` has it then.
create table parked (
    seed        uuid primary key,  -- a digest of the record's place: what it makes gets its ids from it, and from its time
    lane        int         not null,  -- of its merchant: that of its partition, until the lanes grow
    place       bigint      not null,  -- greater than that of every record that the lane had before
    deadline    timestamptz not null,
    awaited_key uuid        not null,  -- as `customer` has it of the identifier: external_key, phone_key or email_key
    key_hash    uuid        not null,  -- as `decision` will have it; that of a further delivery is the same
    merchant_id text collate "C" not null,
    content     json        not null   -- all that it takes to decide it later
-- As of the outbox, rows come and go.
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000);
create index parked_awaited on parked (awaited_key);
create index parked_key on parked (key_hash);
create index parked_due on parked (lane, deadline, place);

-- The shapes in which the worker sends rows: a full batch of them is one parameter, an array of these, so that each table
-- takes one statement (as fast as COPY, and it can be pipelined), and arrays within a row need no flattening.
-- A type that has been released is never altered: a new column gets a new type, so that workers of the version before can
-- go on while the new schema is in place.
create type config_version_row as (
    merchant_id text, kind text, object_id text, version bigint, effective_from timestamptz, recorded_at timestamptz, content json
);
create type customer_row as (
    row_at tid, customer_id uuid, external_key uuid, phone_key uuid, email_key uuid, created_at timestamptz, birth_date date,
    status smallint, notify_email boolean, notify_phone boolean, merchant_id text, external_id text, phone text, email text,
    first_name text, last_name text, name text, registered_on date, gender text, language text, brand_id text,
    source_version bigint, metrics jsonb, metadata jsonb, incomplete boolean, programme_id text, tier_id text, tier_since timestamptz,
    tier_is_manual boolean, referrer_id uuid, cards jsonb, unit_ids text[], version bigint, updated_at timestamptz,
    next_due timestamptz, accounts bytea, lots bytea
);
create type customer_accounts_row as (
    row_at tid, customer_id uuid, unit_ids text[], version bigint, updated_at timestamptz, next_due timestamptz, accounts bytea,
    lots bytea
);
create type entry_row as (
    transaction_id uuid, previous uuid, customer_id uuid, seq bigint, amount bigint, balance_after bigint,
    unit_version bigint, occurred_at timestamptz, recorded_at timestamptz, cause_offset bigint, cause_partition int,
    cause_topic smallint, kind smallint, unit_id text, lots bytea, order_id text, reason text, title text
);
create type decision_row as (
    key_hash uuid, content_hash uuid, customer_id uuid, customer_version bigint, config_version bigint,
    occurred_at timestamptz, decided_at timestamptz, "offset" bigint, "partition" int, topic smallint, effect smallint,
    entries uuid[], rejection jsonb
);
create type memory_row as (key uuid, kind smallint, content bytea);
create type parked_row as (
    seed uuid, lane int, place bigint, deadline timestamptz, awaited_key uuid, key_hash uuid, merchant_id text, content json
);
