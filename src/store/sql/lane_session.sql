-- Without synchronous_commit a crash of the server would lose batches whose results are published. What is stronger than `on` stays.
select pg_backend_pid(),
       case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', false) end is not null
