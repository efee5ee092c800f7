-- What the probe, a function in the temporary schema whose body is a configured query, was parsed to depend on, and
-- whether role $1 has the right: kind (schema, table or function), the name, columns of the table (none: all), held.
-- A row of a table taken whole shows as "t.*" in the body; a literal that holds that makes the right too wide, no more.
with probe as (
  select p.oid, pg_catalog.pg_get_function_sqlbody(p.oid) like '%.*%' as rows,
         coalesce((select u.oid from pg_catalog.pg_roles u where u.rolname = $1), 0) as role
    from pg_catalog.pg_proc p
   where p.proname = 'rowfeed_reading' and p.pronamespace = pg_catalog.pg_my_temp_schema()
),
refers as (
  select d.refclassid, d.refobjid, d.refobjsubid, p.rows, p.role
    from probe p
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid
),
tables as (
  select c.oid, c.relname, c.relnamespace, r.role, bool_or(r.rows) as rows, bool_and(r.refobjsubid > 0) and not bool_or(r.rows) as apart,
         array_agg(a.attname::text order by a.attnum) filter (where a.attnum > 0) as columns,
         bool_and(a.attnum is not null and pg_catalog.has_column_privilege(r.role, c.oid, a.attnum, 'select')) as readable
    from refers r
    join pg_catalog.pg_class c on r.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and c.oid = r.refobjid
    left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = r.refobjsubid and a.attnum <> 0
   group by c.oid, c.relname, c.relnamespace, r.role
),
functions as (
  select p.oid, p.pronamespace, r.role
    from refers r
    join pg_catalog.pg_proc p on r.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass and p.oid = r.refobjid
),
spaces as (
  select t.relnamespace as oid, t.role from tables t
  union select f.pronamespace, f.role from functions f
  union select t.typnamespace, r.role
    from refers r
    join pg_catalog.pg_type t on r.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and t.oid = r.refobjid
),
rights as (
  select 1 as n, 'schema' as kind, n.oid as space, pg_catalog.quote_ident(n.nspname) as name, '{}'::text[] as columns,
         pg_catalog.has_schema_privilege(s.role, n.oid, 'usage') as held
    from spaces s join pg_catalog.pg_namespace n on n.oid = s.oid
  union all
  select 2, 'table', t.relnamespace,
         pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname),
         case when t.apart then t.columns else '{}' end,
         case when t.apart then t.readable
              when t.rows then pg_catalog.has_table_privilege(t.role, t.oid, 'select')
              else pg_catalog.has_any_column_privilege(t.role, t.oid, 'select') end
    from tables t join pg_catalog.pg_namespace n on n.oid = t.relnamespace
  union all
  select 3, 'function', f.pronamespace, f.oid::pg_catalog.regprocedure::text, '{}',
         pg_catalog.has_function_privilege(f.role, f.oid, 'execute')
    from functions f
)
select r.kind, r.name, r.columns, r.held
  from rights r
 where r.space not in ('pg_catalog'::pg_catalog.regnamespace, 'information_schema'::pg_catalog.regnamespace)
 order by r.n, r.name
