-- What the runtime role, $3, and the one who asks may do already. A runtime role that is not there yet has what PUBLIC has.
-- Parameters: schema; operators' role; runtime role; tables; functions.
select r.rolinherit,
       exists (select from pg_catalog.pg_roles o where o.rolname = $2),
       pg_catalog.has_database_privilege(u.oid, pg_catalog.current_database(), 'connect'),
       coalesce(pg_catalog.has_schema_privilege(u.oid, n.oid, 'usage'), false),
       (select count(*) from pg_catalog.pg_class c where c.relnamespace = n.oid and c.relname = any ($4::text[])
           and pg_catalog.has_table_privilege(u.oid, c.oid, 'select')) = pg_catalog.cardinality($4::text[]),
       (select count(*) from pg_catalog.pg_proc p where p.pronamespace = n.oid and p.proname = any ($5::text[])
           and pg_catalog.has_function_privilege(u.oid, p.oid, 'execute')) = pg_catalog.cardinality($5::text[]),
       -- as the runtime role's sessions have it: of the role in this database, of the role, of the database, of the server
       pg_catalog.replace(coalesce(
           (select pg_catalog.substr(c.setting, pg_catalog.length('search_path=') + 1)
              from pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c (setting)
             where c.setting like 'search\_path=%' and s.setrole in (0, u.oid) and s.setdatabase in (0, d.oid)
             order by s.setrole <> 0 desc, s.setdatabase <> 0 desc limit 1),
           (select p.reset_val from pg_catalog.pg_settings p where p.name = 'search_path')),
         '"$user"', pg_catalog.quote_ident($3::text))
  from pg_catalog.pg_roles r
  join pg_catalog.pg_database d on d.datname = pg_catalog.current_database()
  left join pg_catalog.pg_namespace n on n.nspname = $1
 cross join lateral (select coalesce((select t.oid from pg_catalog.pg_roles t where t.rolname = $3), 0) as oid) u
 where r.rolname = current_user
