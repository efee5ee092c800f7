-- Tables of rowfeed's schema, $1, in which policies hide rows from the role that asks.
select c.oid::regclass::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind = 'r' and has_schema_privilege(n.oid, 'usage') and row_security_active(c.oid)
order by 1
