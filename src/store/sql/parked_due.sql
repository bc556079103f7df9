-- From the front of the lane's part of the index, no further than the limit.
select place, content
from parked
where lane = $1 and deadline <= $2
order by deadline, place
limit $3
