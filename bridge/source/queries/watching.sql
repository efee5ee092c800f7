-- Whether there is a table, and what its trigger's tgenabled says (null: there is none). Parameters: schema.table; the
-- trigger's name.
select c.oid is not null, (select t.tgenabled::text from pg_trigger t where t.tgrelid = c.oid and t.tgname = $2)
from (select 1) one
left join (pg_class c join pg_namespace n on n.oid = c.relnamespace)
  on n.nspname || '.' || c.relname = $1 and c.relkind in ('r', 'p')
