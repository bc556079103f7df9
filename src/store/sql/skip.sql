-- The first reason stands.
insert into skipped_record (topic, "partition", "offset", reason) values ($1, $2, $3, $4)
on conflict do nothing
