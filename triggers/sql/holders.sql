-- Who holds locks on tables that are in the way of SHARE ROW EXCLUSIVE, or of ACCESS EXCLUSIVE: the sessions' identity,
-- never what they run. Parameters: the tables; whether it is the latter. A role without pg_read_all_stats does not see
-- since when.
select coalesce('pid ' || a.pid
           || coalesce(' (user ' || a.usename || ')', '')
           || coalesce(', application ' || nullif(a.application_name, ''), '')
           || case when a.backend_type <> 'client backend' then ', ' || a.backend_type else '' end
           || coalesce(', ' || a.state, '')
           || coalesce(', in a transaction since ' || pg_catalog.to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ') || ' ('
                || pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - a.xact_start) || ')', ''),
         'the prepared transaction ' || p.gid || ' of ' || p.owner || ' since '
           || pg_catalog.to_char(p.prepared, 'YYYY-MM-DD HH24:MI:SS TZ'),
         'pid ' || l.pid, 'a transaction that can''t be seen')
  from (select distinct l.pid, case when l.pid is null then l.virtualtransaction end as prepared
          from pg_catalog.pg_locks l
         where l.granted and l.locktype = 'relation' and l.relation = any ($1::oid[])
           and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
           and l.pid is distinct from pg_catalog.pg_backend_pid()
           and (l.mode in ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                           'AccessExclusiveLock')
                or $2 and l.mode in ('AccessShareLock', 'RowShareLock'))) l
  left join pg_catalog.pg_stat_activity a on a.pid = l.pid
  left join pg_catalog.pg_prepared_xacts p on p.transaction::text = pg_catalog.split_part(l.prepared, '/', 2)
 order by 1
