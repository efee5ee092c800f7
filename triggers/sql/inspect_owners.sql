-- Of tables, $1: who owns them, whether that is a superuser, and their schema; and what the one who asks may do there.
select distinct o.rolname::text, o.rolsuper, pg_catalog.pg_has_role(o.oid, 'usage'), pg_catalog.quote_ident(n.nspname),
       pg_catalog.has_schema_privilege(n.oid, 'usage')
  from pg_catalog.pg_class c
  join pg_catalog.pg_roles o on o.oid = c.relowner
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.oid = any ($1::oid[])
 order by 1, 4
