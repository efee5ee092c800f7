-- Which history the server, the database and this installation are of. It differs after a failover (timeline), in a
-- restored dump or a copy beside the original (system, database), and after down and up (installation).
begin
  return (
    select pg_catalog.concat_ws('/', s.system_identifier,
             pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8), d.oid, i.id)
      from pg_catalog.pg_control_system() s, pg_catalog.pg_database d, {{.S}}.installation i
     where d.datname operator(pg_catalog.=) pg_catalog.current_database());
end
