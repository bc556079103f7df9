delete from parked where seed = any ($1)
