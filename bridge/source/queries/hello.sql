-- Who the server is, and what the channel is called there. Parameters: the channel's name.
select s.system_identifier::text || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || i.id::text as epoch,
       c.id,
       c.notify,
       i.horizon::text,
       pg_current_snapshot(),
       current_setting('max_prepared_transactions')::int > 0 as silent
from {schema}.installation i, pg_control_system() s, {schema}.channel c
where c.name = $1
