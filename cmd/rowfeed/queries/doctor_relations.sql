-- Relations of a plan, $1: each once, a partition as the table that it is a part of. $2 is the role of serve.
select distinct n.nspname || '.' || c.relname as name,
       c.relkind::text,
       n.nspname <> 'pg_catalog' and has_table_privilege(u.oid, c.oid, 'insert, update, delete, truncate'),
       -- as row_security_active() says of the role that asks
       c.relrowsecurity and not u.rolsuper and not u.rolbypassrls and (c.relforcerowsecurity or not pg_has_role(u.oid, c.relowner, 'usage'))
from unnest($1::text[]) as read(name)
join pg_class leaf on leaf.oid = to_regclass(read.name)
join pg_class c on c.oid = coalesce(pg_partition_root(leaf.oid), leaf.oid)
join pg_namespace n on n.oid = c.relnamespace
join pg_roles u on u.rolname = $2
order by name
