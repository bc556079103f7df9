-- In the order in which they must be published.
select batch, positions_before, positions_after, records from outbox where lane = $1 order by batch
