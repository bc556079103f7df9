-- Two indexes, one after the other: by what is awaited, and by keys. Whoever is found by both comes twice. No further than the limit.
select place, content
from parked
where awaited_key = any ($1)
union all
select place, content
from parked
where key_hash = any ($2)
limit $3
