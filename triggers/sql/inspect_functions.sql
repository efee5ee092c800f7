select p.proname::text, p.prosrc, coalesce(p.proconfig, '{}')::text[], p.prosecdef,
       pg_catalog.pg_get_userbyid(p.proowner)::text,
       p.proacl is null or exists (select from pg_catalog.aclexplode(p.proacl) a where a.grantee = 0),
       case when p.prokind <> 'a' then pg_catalog.pg_get_functiondef(p.oid) else '' end
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
 where n.nspname = $1
 order by 1
