-- Waits for another who is just at this record. It may be there already only if that is asked for.
insert into replayed_record as known (topic, "partition", "offset") values ($1, $2, $3)
on conflict (topic, "partition", "offset") do update set times = known.times + 1, replayed_at = now() where $4
