insert into memory (key, kind, content)
select * from unnest($1::memory_row[])
