select pg_catalog.has_schema_privilege($2::text, n.oid, 'usage')
   and not exists (select from pg_catalog.pg_class c where c.relnamespace = n.oid and c.relkind in ('r', 'v')
                      and c.relname = any ($3::text[]) and not pg_catalog.has_table_privilege($2::text, c.oid, 'select'))
   and (select count(*) from pg_catalog.pg_proc p where p.pronamespace = n.oid and p.proname = any ($4::text[])
           and pg_catalog.has_function_privilege($2::text, p.oid, 'execute')) = pg_catalog.cardinality($4::text[])
  from pg_catalog.pg_namespace n
 where n.nspname = $1
