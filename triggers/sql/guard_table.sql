with recursive root (oid) as (
  select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where n.nspname = {{.Table}} and c.relname = {{.Name}}
), member (oid) as (
  select oid from root
  union
  select i.inhrelid from member m join pg_catalog.pg_inherits i on i.inhparent = m.oid
)
select pg_catalog.md5(pg_catalog.concat_ws(e'\n',
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attgenerated), e'\n' order by a.attname collate "C")
     from pg_catalog.pg_attribute a
    where a.attrelid = (select oid from root) and a.attnum > 0 and not a.attisdropped and a.attname = any ({{.Columns}})),
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', n.nspname, c.relname, c.relkind, c.relispartition), e'\n'
            order by n.nspname collate "C", c.relname collate "C")
     from member m join pg_catalog.pg_class c on c.oid = m.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace),
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', c.relname, t.tgname, p.proname, t.tgenabled), e'\n'
            order by c.relname collate "C", t.tgname collate "C")
     from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
     join pg_catalog.pg_proc p on p.oid = t.tgfoid join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where t.tgrelid = (select oid from root) and t.tgparentid = 0
      and (n.nspname = {{literal .Schema}} and pg_catalog.starts_with(p.proname, 'capture_') or t.tgname in ({{.Row}}, {{.Truncate}})))))
