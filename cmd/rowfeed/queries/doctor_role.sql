-- The role that asks, and what it may do beyond what it was granted. $1 is rowfeed's schema.
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
               then 'owns tables, and so may write them and take off what watches them' end,
           case when not rolsuper and exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                   where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', $1)
                     and c.relpersistence <> 't' and not pg_has_role(r.oid, c.relowner, 'member')
                     and has_table_privilege(r.oid, c.oid, 'insert, update, delete, truncate'))
               then 'may write tables of the ERP' end,
           case when not rolsuper and exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                   where n.nspname = $1 and c.relkind = 'r' and not pg_has_role(r.oid, c.relowner, 'member')
                     and has_table_privilege(r.oid, c.oid, 'insert, update, delete, truncate'))
               then 'may write the outbox, and so have users see what never happened' end,
           case when not rolsuper and exists (select from pg_namespace n
                   where n.nspname !~ '^pg_' and has_schema_privilege(r.oid, n.oid, 'create')
                     and not has_schema_privilege(0::oid, n.oid, 'create') and not pg_has_role(r.oid, n.nspowner, 'member'))
               then 'may create in schemas' end
       ]::text[], null)
from pg_roles r
where rolname = current_user
