-- What the role that is connected may not drop of what down drops, as it belongs to others. Parameter: the schema.
select pg_catalog.pg_describe_object(o.classid, o.objid, 0) || ', which belongs to '
       || pg_catalog.pg_get_userbyid(o.owner)
  from (
    select 'pg_catalog.pg_namespace'::pg_catalog.regclass::oid, n.oid, n.nspowner
      from pg_catalog.pg_namespace n where n.nspname = $1
    union all
    select 'pg_catalog.pg_class'::pg_catalog.regclass::oid, c.oid, c.relowner
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1 and c.relkind in ('r', 'v', 'S')
    union all
    select 'pg_catalog.pg_proc'::pg_catalog.regclass::oid, p.oid, p.proowner
      from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     where n.nspname = $1
    union all
    select distinct 'pg_catalog.pg_class'::pg_catalog.regclass::oid, c.oid, c.relowner
      from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
      join pg_catalog.pg_proc p on p.oid = t.tgfoid join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     where n.nspname = $1
  ) o (classid, objid, owner)
 where not pg_catalog.pg_has_role(o.owner, 'usage')
 order by 1
