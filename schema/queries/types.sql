-- Types, and all that they are made of.
with recursive part (oid) as (
  select pg_catalog.unnest($1::oid[])
  union
  select n.oid
    from part join pg_catalog.pg_type t on t.oid = part.oid
    cross join lateral (
      select t.typbasetype
      union all select t.typelem where t.typcategory = 'A'
      union all select a.atttypid from pg_catalog.pg_attribute a
                 where a.attrelid = t.typrelid and t.typtype = 'c' and a.attnum > 0 and not a.attisdropped
    ) n (oid)
   where n.oid <> 0
)
select t.oid, t.typtype::text, t.typbasetype, case when t.typcategory = 'A' then t.typelem else 0 end,
       array(select e.enumlabel::text from pg_catalog.pg_enum e where e.enumtypid = t.oid order by e.enumsortorder),
       array(select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = t.typrelid and t.typtype = 'c'
                and a.attnum > 0 and not a.attisdropped order by a.attnum),
       array(select a.atttypid from pg_catalog.pg_attribute a where a.attrelid = t.typrelid and t.typtype = 'c'
                and a.attnum > 0 and not a.attisdropped order by a.attnum),
       exists (select from pg_catalog.pg_cast c
                where c.castsource = t.oid and c.casttarget = 'pg_catalog.json'::pg_catalog.regtype and c.castfunc <> 0)
  from part join pg_catalog.pg_type t on t.oid = part.oid
