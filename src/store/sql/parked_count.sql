select count(*) from parked where lane = $1
