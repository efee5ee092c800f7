select pg_catalog.current_setting('server_version_num')::int,
       pg_catalog.current_setting('server_version'),
       pg_catalog.pg_is_in_recovery(),
       current_user::text,
       pg_catalog.current_database()::text,
       r.rolsuper,
       r.rolcreaterole,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'),
       exists (select from pg_catalog.pg_roles o where o.rolname = $2),
       -- From 16 on a membership may give neither: who creates a role has one that only lets it be granted.
       coalesce((select pg_catalog.pg_has_role(o.oid, 'usage')
                        and case when pg_catalog.current_setting('server_version_num')::int >= 160000
                                 then pg_catalog.pg_has_role(o.oid, 'set') else true end
                   from pg_catalog.pg_roles o where o.rolname = $2), false),
       exists (select from pg_catalog.pg_namespace n where n.nspname = $1),
       exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = 'installation'),
       coalesce((select pg_catalog.has_schema_privilege(n.oid, 'usage') from pg_catalog.pg_namespace n
                  where n.nspname = $1), false),
       exists (select from pg_catalog.pg_roles t where t.rolname = $3),
       coalesce((select t.rolsuper from pg_catalog.pg_roles t where t.rolname = $3), false),
       (select s.reset_val from pg_catalog.pg_settings s where s.name = 'lc_monetary')
  from pg_catalog.pg_roles r
 where r.rolname = current_user
