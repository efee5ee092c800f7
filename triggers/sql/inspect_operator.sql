-- How what operators need stands. Parameters: schema; their role; the functions that it calls.
select exists (select from pg_catalog.pg_roles o where o.rolname = $2),
       exists (select from pg_catalog.pg_class c where c.relnamespace = n.oid and c.relname = 'request'),
       coalesce(pg_catalog.has_schema_privilege(o.oid, n.oid, 'usage')
         and (select count(*) from pg_catalog.pg_proc p where p.pronamespace = n.oid and p.proname = any ($3::text[])
                 and pg_catalog.has_function_privilege(o.oid, p.oid, 'execute')) = pg_catalog.cardinality($3::text[]), false)
  from (select 1) one
  left join pg_catalog.pg_namespace n on n.nspname = $1
  left join pg_catalog.pg_roles o on o.rolname = $2
