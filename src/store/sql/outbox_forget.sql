-- Only what is known to be published. A row that stays by mistake is harmless: recovery compares with what Kafka has.
delete from outbox where lane = $1 and batch <= $2
