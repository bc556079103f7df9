-- The entries follow in a second statement: their keys are in the row, and most batches have no duplicates.
select key_hash, content_hash, topic, "partition", "offset", effect, rejection, customer_id, customer_version,
       config_version, entry_units, entry_seqs, occurred_at, decided_at
from decision
where key_hash = any ($1)
