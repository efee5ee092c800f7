-- Who may make partitions, and whether they may execute the capture function. Parameters: rowfeed's schema; the wanted
-- tables, and their functions' names.
with recursive member (root, function, oid) as (
  select root, function, root from rows from (pg_catalog.unnest($2::oid[]), pg_catalog.unnest($3::text[])) r(root, function)
  union all
  select m.root, m.function, i.inhrelid from member m join pg_catalog.pg_inherits i on i.inhparent = m.oid
)
select m.root, pg_catalog.pg_get_userbyid(c.relowner)::text,
       coalesce(pg_catalog.bool_or(pg_catalog.has_function_privilege(c.relowner, p.oid, 'execute')), false)
  from member m
  join pg_catalog.pg_class c on c.oid = m.oid and c.relkind = 'p'
  left join pg_catalog.pg_namespace n on n.nspname = $1
  left join pg_catalog.pg_proc p on p.pronamespace = n.oid and p.proname = m.function
 group by 1, 2
 order by 1, 2
