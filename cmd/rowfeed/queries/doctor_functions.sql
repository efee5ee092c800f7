-- Functions of somebody's own among the names, $1. Those in C read what nobody can tell either.
select distinct p.oid::regproc::text
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
where p.proname = any ($1)
  and n.nspname not in ('pg_catalog', 'information_schema')
order by 1
