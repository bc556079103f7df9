update lane set halted = $2 where lane = $1 and halted is distinct from $2
