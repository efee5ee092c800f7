with recursive base (typ, oid) as (
  select distinct a.atttypid, a.atttypid from pg_catalog.pg_attribute a where a.attrelid = any ($1::oid[]) and a.attnum > 0
  union all
  select b.typ, t.typbasetype from base b join pg_catalog.pg_type t on t.oid = b.oid where t.typtype = 'd'
)
select a.attrelid, a.attname::text, a.attgenerated::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
       a.atttypid <> t.oid, t.oid, t.typtype::text, t.typcategory::text, t.typname::text,
       case when t.typcategory = 'A' then t.typelem
            else coalesce((select r.rngsubtype from pg_catalog.pg_range r where r.rngtypid = t.oid), 0) end,
       coalesce((select e.typtype::text from pg_catalog.pg_type e where e.oid = t.typelem and t.typcategory = 'A'), ''),
       a.atttypmod > 0
  from pg_catalog.pg_attribute a
  join base b on b.typ = a.atttypid
  join pg_catalog.pg_type t on t.oid = b.oid and t.typtype <> 'd'
 where a.attrelid = any ($1::oid[]) and a.attnum > 0 and not a.attisdropped
 order by a.attrelid, a.attnum
