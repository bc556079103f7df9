-- What the role of `run` needs, and of `skip`, `lanes`, `customer`, `audit`, `recover` and `dead-letters` with its settings; nothing more. For
-- the tables' owner, in one transaction, as often as one likes. :"role", :"schema" and :"database" are quoted names, so psql takes this as it is.
grant connect on database :"database" to :"role";
grant usage on schema :"schema" to :"role";
-- What it may have had before.
revoke all on schema_migration, lane, outbox, skipped_record, config_version, customer, entry, decision, memory,
              account, lot, entry_lot, earned_order, replayed_record, parked
from :"role";
grant select on schema_migration, lane, outbox, skipped_record, config_version, customer, entry, decision, memory,
                replayed_record, parked
to :"role";
-- The fence and the frontier. What a lane belongs to, and the row itself, `topics create` and `lanes resize` write, as the owner.
grant update (epoch, batch, lane_time, due_pending, topic_ids, positions, owner, halted, halted_topic, halted_offset) on lane to :"role";
-- What has been published is deleted.
grant insert, delete on outbox to :"role";
grant insert, update on customer to :"role";
-- What has waited is decided.
grant insert, delete on parked to :"role";
-- The ledger, the memory of what was decided and versions are only added to.
grant insert on entry, decision, memory, config_version to :"role";
-- `skip`, and `skip --undo`.
grant insert, delete on skipped_record to :"role";
-- What `dead-letters replay` has sent; a record that is sent once more is counted.
grant insert, update (replayed_at, times, new_partition, new_offset) on replayed_record to :"role";
-- The audit computes keys. Everybody may, unless that was taken from them.
grant execute on function lookup_key(text[]) to :"role";
-- `trial-balance` and the audit.
grant select on account, lot, earned_order to :"role";
