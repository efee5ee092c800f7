-- The unique indexes of tables: columns in order, and why one does not tell rows apart at all times.
select x.indrelid, c.relname::text,
       coalesce(array(select a.attname::text
                        from pg_catalog.unnest(x.indkey::pg_catalog.int2[]) with ordinality u(attnum, o)
                        join pg_catalog.pg_attribute a on a.attrelid = x.indrelid and a.attnum = u.attnum
                       where u.o <= x.indnkeyatts order by u.o), '{}'),
       case when x.indpred is not null then 'is partial: make one without WHERE'
            when x.indexprs is not null then 'is of expressions: make one of plain columns'
            when not x.indimmediate then 'is deferrable: make it not deferrable'
            when not x.indisvalid or not x.indisready then 'is not valid: reindex it'
            when exists (select from pg_catalog.unnest(x.indkey::pg_catalog.int2[]) with ordinality u(attnum, o)
                           join pg_catalog.pg_attribute a on a.attrelid = x.indrelid and a.attnum = u.attnum
                          where u.o <= x.indnkeyatts and not a.attnotnull)
            then 'has columns that may be null: set them not null'
            else '' end
  from pg_catalog.pg_index x
  join pg_catalog.pg_class c on c.oid = x.indexrelid
 where x.indrelid = any ($1::oid[]) and x.indisunique
 order by x.indrelid, c.relname
