-- What else the role may not see of others' sessions is null. Statements may hold personal data, and are left out.
select format('pid %s, user %s, application %s, address %s, %s, in its transaction since %s', pid, coalesce(usename, '?'),
              coalesce(nullif(application_name, ''), '?'), coalesce(host(client_addr), '?'), coalesce(state, '?'),
              coalesce(xact_start::text, '?'))
from unnest(pg_blocking_pids($1)) as blocking join pg_stat_activity on pid = blocking
