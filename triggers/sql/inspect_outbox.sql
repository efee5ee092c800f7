-- Whether the table drift is there, and whether the owner role may write the outbox. Parameters: rowfeed's schema; the role.
select exists (select from pg_catalog.pg_class c where c.relnamespace = n.oid and c.relname = 'drift'),
       coalesce(pg_catalog.has_schema_privilege(o.oid, n.oid, 'usage')
         and (select count(*) = 3 and bool_and(pg_catalog.has_table_privilege(o.oid, c.oid, 'insert')) from pg_catalog.pg_class c
               where c.relnamespace = n.oid and c.relname in ('change_0', 'change_1', 'change_2')), false)
  from (select 1) one
  left join pg_catalog.pg_namespace n on n.nspname = $1
  left join pg_catalog.pg_roles o on o.rolname = $2
