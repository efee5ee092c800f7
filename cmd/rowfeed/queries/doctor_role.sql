-- The role that asks, and what it may do beyond what it was granted.
select rolname::text,
       array_remove(array[
           case when rolsuper then 'is a superuser' end,
           case when rolbypassrls then 'passes row security by' end,
           case when rolcreaterole then 'may make roles' end,
           case when rolcreatedb then 'may make databases' end,
           case when rolreplication then 'may replicate' end,
           case when exists (select from pg_database d where d.datname = current_database() and pg_has_role(r.oid, d.datdba, 'usage'))
               and not rolsuper then 'owns the database' end
       ]::text[], null)
from pg_roles r
where rolname = current_user
