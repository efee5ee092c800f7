-- The role that asks, and what it may do beyond what it was granted.
select rolname::text,
       array_remove(array[
           case when rolsuper then 'is a superuser' end,
           case when rolbypassrls then 'passes row security by' end,
           case when rolcreaterole then 'may make roles' end,
           case when rolcreatedb then 'may make databases' end,
           case when rolreplication then 'may replicate' end,
           case when exists (select from pg_database d where d.datname = current_database() and pg_has_role(r.oid, d.datdba, 'usage'))
               and not rolsuper then 'owns the database' end,
           case when not rolsuper and pg_has_role(r.oid, 'pg_read_all_data', 'member') then 'may read every table' end,
           case when not rolsuper and pg_has_role(r.oid, 'pg_write_all_data', 'member') then 'may write every table' end,
           case when not rolsuper and (pg_has_role(r.oid, 'pg_execute_server_program', 'member')
                   or pg_has_role(r.oid, 'pg_write_server_files', 'member') or pg_has_role(r.oid, 'pg_read_server_files', 'member'))
               then 'may use files or programs of the server' end,
           case when not rolsuper and exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                   where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
                     and c.relpersistence <> 't' and pg_has_role(r.oid, c.relowner, 'member'))
               then 'owns tables, and so may write them and take off what watches them' end
       ]::text[], null)
from pg_roles r
where rolname = current_user
