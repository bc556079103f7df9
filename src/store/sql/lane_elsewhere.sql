-- A lane whose rows belong into another database, or that was registered among another number of lanes.
select lane, lanes from lane where lane not between $1 and $2 or lanes <> $3 order by lane limit 1
