-- Settings of roles and of this database, and those of the server, that take something from what is captured: setting, for whom.
select w.setting, case when s.setrole = 0 then 'every role' else 'role ' || quote_ident(pg_get_userbyid(s.setrole)) end
from pg_db_role_setting s
cross join unnest(s.setconfig) w(setting)
where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
  and w.setting in ('synchronous_commit=off', 'session_replication_role=replica')
union
select name || '=' || setting, 'every role'
from pg_settings
where (name, setting) in (('synchronous_commit', 'off'), ('session_replication_role', 'replica'), ('autovacuum', 'off'))
  and source in ('configuration file', 'command line', 'environment variable', 'default')
order by 1, 2
