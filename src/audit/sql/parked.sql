-- What waits for its customer.
select lane, topic, "partition", "offset" from parked;
