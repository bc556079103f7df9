-- A row that somebody has locked is left: this is said again, and nothing waits for it.
update lane
set halted = $2, halted_topic = $3, halted_offset = $4
where lane in (select lane from lane where lane = $1 and (halted, halted_topic, halted_offset) is distinct from ($2, $3, $4) for update skip locked)
