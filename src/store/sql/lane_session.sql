-- With a weaker synchronous_commit a crash of the server, or a standby that is promoted, would lose batches whose results are published.
select pg_backend_pid(),
       case when current_setting('synchronous_commit') not in ('on', 'remote_apply') then set_config('synchronous_commit', 'on', false) end is not null
