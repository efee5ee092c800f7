-- Sessions of other roles than serve's, $2, that hold one of the locks $1 exclusively, or wait for it.
select a.pid, coalesce(a.usename, '?')::text, coalesce(a.application_name, ''), coalesce(a.datname, '')::text, coalesce(a.state, '?'),
       coalesce(extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.state_change)), 0)::float8,
       l.classid::int8 << 32 | l.objid::int8
from pg_locks l
join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.objsubid = 1 and l.mode = 'ExclusiveLock'
  and l.database = (select d.oid from pg_database d where d.datname = current_database())
  and (l.classid::int8 << 32 | l.objid::int8) = any ($1::int8[])
  and a.usename is distinct from $2
order by a.pid
