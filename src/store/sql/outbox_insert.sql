insert into outbox (lane, batch, positions_before, positions_after, records) values ($1, $2, $3, $4, $5)
