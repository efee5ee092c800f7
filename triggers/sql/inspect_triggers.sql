select c.oid, s.nspname::text, c.relname::text, t.tgname::text,
       case when n.nspname = $1 and p.proname like 'capture\_%' then p.proname::text else '' end,
       t.tgenabled::text, t.tgtype::int, t.tgparentid <> 0,
       t.tgqual is null and t.tgattr::text = '',
       t.oid, t.tgparentid, pg_catalog.pg_get_triggerdef(t.oid)
  from pg_catalog.pg_trigger t
  join pg_catalog.pg_proc p on p.oid = t.tgfoid
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_class c on c.oid = t.tgrelid
  join pg_catalog.pg_namespace s on s.oid = c.relnamespace
 where not t.tgisinternal and (n.nspname = $1 and p.proname like 'capture\_%' or t.tgname in ($2, $3))
    or t.tgparentid <> 0 and n.nspname = $1
 order by 2, 3, 4
