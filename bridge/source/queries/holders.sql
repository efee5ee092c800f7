-- Who keeps captures from ringing, or nodes from leading, and is none of the bridge's: what a session calls itself is not
-- to be trusted, its role is. Parameters: the keys.
select l.pid, a.usename
from pg_locks l
join pg_stat_activity a on a.pid = l.pid and a.usesysid <> (select r.oid from pg_roles r where r.rolname = session_user)
where l.locktype = 'advisory' and l.objsubid = 1 and l.mode = 'ExclusiveLock'
  and l.database = (select d.oid from pg_database d where d.datname = current_database())
  and (l.classid::int8 << 32 | l.objid::int8) = any ($1::int8[])
order by l.pid
limit 1
