-- Of the columns of tables: whether they are never null, and how many dimensions they are declared with.
with recursive base (typ, oid, strict) as (
  select t.oid, t.oid, t.typnotnull from pg_catalog.pg_type t
   where t.oid in (select a.atttypid from pg_catalog.pg_attribute a where a.attrelid = any ($1::oid[]) and a.attnum > 0)
  union all
  select b.typ, t.oid, t.typnotnull from base b join pg_catalog.pg_type d on d.oid = b.oid
    join pg_catalog.pg_type t on t.oid = d.typbasetype where d.typtype = 'd'
)
select a.attrelid, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
       a.attnotnull and not exists (select from pg_catalog.pg_constraint c where c.conrelid = a.attrelid
                                      and c.contype = 'n' and not c.convalidated and a.attnum = any (c.conkey))
         or (select pg_catalog.bool_or(b.strict) from base b where b.typ = a.atttypid),
       greatest(a.attndims, t.typndims)::int4
  from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
 where a.attrelid = any ($1::oid[]) and a.attnum > 0 and not a.attisdropped
