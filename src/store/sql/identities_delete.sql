-- Before the inserts: an identifier may pass from one customer to another within a batch.
delete from identity where identity_key = any ($1)
