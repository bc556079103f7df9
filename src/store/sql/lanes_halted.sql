select lane, halted from lane where halted is not null
