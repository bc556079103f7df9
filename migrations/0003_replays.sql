-- Records that an operator has sent again, from their dead letters. A row is written in a transaction that commits once the broker has the new
-- record, so that none is sent again a second time unless somebody asks for it.
create table replayed_record (
    topic         text        not null,  -- where the record stood that became a dead letter
    "partition"   int         not null,
    "offset"      bigint      not null,
    replayed_at   timestamptz not null default now(),  -- the last time
    times         int         not null default 1,
    new_partition int,                   -- where it stands since, in the same topic; null only before the broker has it
    new_offset    bigint,
    primary key (topic, "partition", "offset")
);
