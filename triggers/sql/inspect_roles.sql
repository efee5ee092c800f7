-- rowfeed's roles. Parameters: the two names; the comment on those that up has made.
select r.rolname::text, coalesce(pg_catalog.shobj_description(r.oid, 'pg_authid') = $3, false),
       r.rolsuper or r.rolcanlogin or r.rolcreaterole or r.rolbypassrls or r.rolreplication
  from pg_catalog.pg_roles r
 where r.rolname in ($1, $2)
