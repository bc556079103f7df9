select topic, "partition", "offset", effect, rejection ->> 'code' as code, rejection ->> 'message' as message,
       customer_id, customer_version, config_version, entries, occurred_at, decided_at
from decision
where $1::uuid[] is null or key_hash = any($1);
