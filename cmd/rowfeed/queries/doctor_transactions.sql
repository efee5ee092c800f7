-- Sessions of the server whose transaction has lasted for at least $1 seconds, the oldest first.
select pid, coalesce(usename, '?')::text, coalesce(application_name, ''), coalesce(datname, '')::text, coalesce(state, '?'),
       extract(epoch from clock_timestamp() - xact_start)::float8
from pg_stat_activity
where xact_start < clock_timestamp() - make_interval(secs => $1)
  and pid <> pg_backend_pid() and coalesce(backend_type, 'client backend') = 'client backend'
order by xact_start
limit 5
