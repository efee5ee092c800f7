-- Tables of the outbox that captures can't write to. Parameters: schema; tables.
select t.name
  from pg_catalog.unnest($2::text[]) t (name)
  left join pg_catalog.pg_class c on c.relname = t.name
   and c.relnamespace = (select n.oid from pg_catalog.pg_namespace n where n.nspname = $1)
 where c.oid is null or not {schema}.writable(c.oid::pg_catalog.regclass)
 order by 1
