-- What a role needs that only looks: `customer`, `lanes`, `audit`, `trial-balance`, `config export` and `apply`,
-- `dead-letters list` and `show`, reports. See grant_worker.sql.
grant connect on database :"database" to :"role";
grant usage on schema :"schema" to :"role";
revoke all on schema_migration, lane, outbox, skipped_record, config_version, customer, entry, decision, memory,
              account, lot, entry_lot, earned_order, replayed_record, parked
from :"role";
-- Of the outbox only what waits: the records hold personal data, which nobody needs to read there.
grant select (lane, batch) on outbox to :"role";
grant select on schema_migration, lane, skipped_record, config_version, customer, entry, decision, memory, account,
                lot, entry_lot, earned_order, replayed_record, parked
to :"role";
grant execute on function lookup_key(text[]), number_at(bytea, int), uuid_at(bytea, int), instant_at(bytea, int) to :"role";
