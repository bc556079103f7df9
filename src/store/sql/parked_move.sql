-- Places begin anew in a lane that is new: those that come with their merchants stay in their order, before all that it will have.
update parked
set lane = moved.lane, place = place - $2
from unnest($3::text[], $4::int[]) as moved (merchant_id, lane)
where parked.lane = $1 and parked.merchant_id = moved.merchant_id
