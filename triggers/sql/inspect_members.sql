with recursive member (root, oid, depth) as (
  select o, o, 0 from pg_catalog.unnest($1::oid[]) o
  union all
  select m.root, i.inhrelid, m.depth + 1
    from member m join pg_catalog.pg_inherits i on i.inhparent = m.oid
   where not i.inhdetachpending
)
select m.root, c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relispartition and m.depth > 0,
       c.relpersistence::text, pg_catalog.pg_has_role(c.relowner, 'usage')
  from (select root, oid, min(depth) depth from member group by root, oid) m
  join pg_catalog.pg_class c on c.oid = m.oid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 order by m.root, m.depth, n.nspname, c.relname
