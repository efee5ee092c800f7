-- Places for connections, and who has them. $1 is serve's role.
with client as (
  select usename, datname, application_name from pg_stat_activity
  where usename is not null and coalesce(backend_type, 'client backend') in ('client backend', 'walsender')
    and pid <> pg_backend_pid() and coalesce(application_name, '') <> 'rowfeed doctor'
)
select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0),
       (select count(*) from client)::int,
       coalesce((select rolconnlimit from pg_roles where rolname = $1 and not rolsuper), -1),
       (select datconnlimit from pg_database where datname = current_database()),
       (select count(*) from client where usename = $1)::int,
       (select count(*) from client where datname = current_database())::int
