-- The entries follow in a second statement: their ids are in the row, and most batches have no duplicates.
select key_hash, content_hash, customer_id, customer_version, config_version, occurred_at, decided_at, "offset", "partition",
       topic, effect, entries, rejection
from decision
where key_hash = any ($1)
