-- A row that somebody has locked is left: this is said again, and nothing waits for it.
update lane
set halted = $2
where lane in (select lane from lane where lane = $1 and halted is distinct from $2 for update skip locked)
