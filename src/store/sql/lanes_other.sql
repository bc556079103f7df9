-- A lane that was registered among another number of lanes.
select lanes from lane where lanes <> $1 order by lane limit 1
