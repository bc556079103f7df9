-- What is applied and perhaps not yet published.
select lane, batch from outbox order by lane, batch;
