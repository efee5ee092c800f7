-- The tables, views, indexes and sequences of rowfeed's schema.
select pg_catalog.pg_get_userbyid(n.nspowner)::text, c.relname::text, c.relkind::text,
       pg_catalog.pg_get_userbyid(c.relowner)::text
  from pg_catalog.pg_namespace n
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'v', 'i', 'S')
 where n.nspname = $1
 order by c.relname
