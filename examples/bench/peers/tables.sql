-- The tables as a team makes them that decides one command at a time.

create table customer (
    id          uuid        primary key,
    merchant_id text        not null,
    external_id text        not null,
    created_at  timestamptz not null default now(),
    unique (merchant_id, external_id)
);

-- Room on the page for a row's next version: no index changes with a balance.
create table account (
    customer_id       uuid        not null references customer,
    unit_id           text        not null,
    balance           bigint      not null check (balance >= 0),
    lifetime_earned   bigint      not null,
    lifetime_redeemed bigint      not null,
    updated_at        timestamptz not null default now(),
    primary key (customer_id, unit_id)
) with (fillfactor = 90);

-- No foreign key: the account was locked by whoever writes an entry, and a check for each would only cost time.
create table entry (
    id            uuid        primary key,
    customer_id   uuid        not null,
    unit_id       text        not null,
    kind          text        not null,
    amount        bigint      not null,
    balance_after bigint      not null,
    order_id      text,
    occurred_at   timestamptz not null,
    recorded_at   timestamptz not null default now()
);
create index entry_of_account on entry (customer_id, unit_id, id);

-- The key is written before anything else of a command, the outcome before its transaction ends.
create table idempotency (
    merchant_id     text        not null,
    idempotency_key text        not null,
    outcome         jsonb,
    decided_at      timestamptz not null default now(),
    primary key (merchant_id, idempotency_key)
);
