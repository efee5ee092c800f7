-- Sessions that hold a lock on a table of the outbox in schema $1, the oldest first.
select distinct on (a.xact_start, a.pid) a.pid, coalesce(a.usename, '?')::text, coalesce(a.application_name, ''),
       coalesce(a.datname, '')::text, coalesce(a.state, '?'),
       coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::float8
from pg_locks l
join pg_stat_activity a on a.pid = l.pid
join pg_class c on c.oid = l.relation
join pg_namespace n on n.oid = c.relnamespace
where l.locktype = 'relation' and l.granted and n.nspname = $1 and c.relname like 'change\__'
  and l.database = (select d.oid from pg_database d where d.datname = current_database())
  and a.pid <> pg_backend_pid()
order by a.xact_start, a.pid
limit 3
