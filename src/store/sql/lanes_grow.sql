-- All lanes, the new ones among them. The new epoch stops a worker that has not noticed yet that it is out of the group.
update lane
set lanes = $1, epoch = epoch + 1,
    grown_from = coalesce((select first.grown_from from lane as first where first.lane = 0), lanes)
