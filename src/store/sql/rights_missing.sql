select format('%s on %s%s', privilege, tab, case when col = '' then '' else format(' (%s)', col) end)
from unnest($1::text[], $2::text[], $3::text[]) as needed (privilege, tab, col)
where to_regclass(tab) is not null
  and not case when col = '' then has_table_privilege(tab, privilege) else has_column_privilege(tab, col, privilege) end
