-- What is not rowfeed's, but in its schema or made of what is: a line each. Parameters: the schema; the names of its
-- tables, views and indexes; those of its functions, beside capture_….
with ours (classid, objid) as (
  select 'pg_catalog.pg_class'::pg_catalog.regclass::oid, c.oid
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where n.nspname = $1 and c.relname = any ($2::text[])
  union all
  select 'pg_catalog.pg_proc'::pg_catalog.regclass::oid, p.oid
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
   where n.nspname = $1 and (p.proname = any ($3::text[])
         or p.proname like 'capture\_%' and p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype)
), part (classid, objid) as (
  select * from ours
  union all -- their row types and the arrays of these
  select 'pg_catalog.pg_type'::pg_catalog.regclass::oid, t.oid
    from ours o join pg_catalog.pg_class c on c.oid = o.objid and o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    join pg_catalog.pg_type t on t.oid in (c.reltype, (select r.typarray from pg_catalog.pg_type r where r.oid = c.reltype))
), owned (classid, objid) as (
  select * from part
  union all
  select 'pg_catalog.pg_rewrite'::pg_catalog.regclass::oid, r.oid
    from ours o join pg_catalog.pg_rewrite r on r.ev_class = o.objid
   where o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  union all
  select 'pg_catalog.pg_constraint'::pg_catalog.regclass::oid, k.oid
    from ours o join pg_catalog.pg_constraint k on k.conrelid = o.objid
   where o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  union all
  select 'pg_catalog.pg_attrdef'::pg_catalog.regclass::oid, a.oid
    from ours o join pg_catalog.pg_attrdef a on a.adrelid = o.objid
   where o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
)
select distinct case when d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
            then (select pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class, 0)
                    from pg_catalog.pg_rewrite r where r.oid = d.objid)
            else pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) end
  from pg_catalog.pg_depend d
 where d.deptype = 'n'
   and d.classid <> 'pg_catalog.pg_trigger'::pg_catalog.regclass -- down drops those of ours, and they go with their table
   and not exists (select from owned o where o.classid = d.classid and o.objid = d.objid)
   and (exists (select from part p where p.classid = d.refclassid and p.objid = d.refobjid)
        or d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
           and d.refobjid = (select n.oid from pg_catalog.pg_namespace n where n.nspname = $1))
 order by 1
