select quote_ident($1), quote_ident(current_schema()), quote_ident(current_database()),
       exists (select from pg_class where oid = 'lane'::regclass and pg_get_userbyid(relowner) = $1)
