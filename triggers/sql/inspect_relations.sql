select w.n, c.oid, c.relkind::text, c.relpersistence::text, pg_catalog.pg_get_userbyid(c.relowner)::text,
       pg_catalog.pg_has_role(c.relowner, 'usage'),
       (select p.relnamespace::pg_catalog.regnamespace::text || '.' || p.relname
          from pg_catalog.pg_inherits i join pg_catalog.pg_class p on p.oid = i.inhparent
         where i.inhrelid = c.oid and c.relispartition),
       coalesce(k.condeferrable, false),
       coalesce(array(select a.attname::text
                        from pg_catalog.unnest(x.indkey::pg_catalog.int2[]) with ordinality u(attnum, o)
                        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = u.attnum
                       order by u.o), '{}')
  from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) with ordinality w(schema, name, n)
  join pg_catalog.pg_namespace s on s.nspname = w.schema
  join pg_catalog.pg_class c on c.relnamespace = s.oid and c.relname = w.name
  left join pg_catalog.pg_index x on x.indrelid = c.oid and x.indisprimary
  left join pg_catalog.pg_constraint k on k.conindid = x.indexrelid and k.contype = 'p'
 where c.relkind in ('r', 'p', 'v', 'm', 'f')
