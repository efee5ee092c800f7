-- Sessions that may keep the NOTIFY queue from being emptied, the likeliest first: a client that does not read what it is
-- sent, and those whose transaction goes on. Which of them listen, only they know. $1 is a process that the server names.
select pid, coalesce(usename, '?')::text, coalesce(application_name, ''), coalesce(datname, '')::text,
       case when wait_event = 'ClientWrite' then 'whose client does not read' else coalesce(state, '?') end,
       coalesce(extract(epoch from clock_timestamp() - coalesce(xact_start, state_change)), 0)::float8
from pg_stat_activity
where pid <> pg_backend_pid()
  and (pid = $1 or $1 = 0 and coalesce(backend_type, 'client backend') = 'client backend'
       and (wait_event = 'ClientWrite' or xact_start < clock_timestamp() - interval '1 second'))
order by wait_event = 'ClientWrite' desc nulls last, xact_start
limit 3
