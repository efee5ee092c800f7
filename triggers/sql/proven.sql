-- Whether the outbox's table of a time can be written to, for a transaction whose snapshot is kept: that shows it the catalog
-- as it was once, before the table was there or before what was done to it, and a plan would hold what it makes of that.
-- So it writes a row and removes it. The lock that this takes keeps the table as it is until the transaction ends: it is
-- needed once, which is noted. A right can be taken all the same.
declare
  v_slot   pg_catalog.int8 := {{.SlotAt "p_at"}};
  v_proven pg_catalog.text := pg_catalog.concat(pg_catalog.pg_current_xact_id(), '/', v_slot);
  v_table  pg_catalog.regclass;
  v_row    pg_catalog.tid;
begin
  if pg_catalog.current_setting('rowfeed.proven', true) operator(pg_catalog.=) v_proven then
    return pg_catalog.has_table_privilege(case{{range .Slots}} when v_slot operator(pg_catalog.=) {{.}}
      then {{$.Outbox .}}::pg_catalog.regclass{{end}} end, 'insert');
  end if;
{{range .Slots}}  {{if eq . 0}}if{{else}}elsif{{end}} v_slot operator(pg_catalog.=) {{.}} then
    v_table := {{$.Outbox .}};
    insert into {{$.S}}.change_{{.}} (xid, lsn, at, capture, channel, depth, op, old, new) values (
      pg_catalog.pg_current_xact_id(), pg_catalog.pg_current_wal_insert_lsn(), p_at, 0, 0, 0, 'r', null, null)
      returning ctid into strict v_row;
    delete from {{$.S}}.change_{{.}} where ctid operator(pg_catalog.=) v_row;
{{end}}  end if;
  -- The row says nothing of what other rows may run into, but the catalog does where it is seen.
  if exists (select from pg_catalog.pg_class c where c.oid operator(pg_catalog.=) v_table
                and c.relchecks operator(pg_catalog.<>) 0)
     or exists (select from pg_catalog.pg_index i where i.indrelid operator(pg_catalog.=) v_table
                   and (i.indisunique or i.indisexclusion or i.indexprs is not null or i.indpred is not null)) then
    return false;
  end if;
  perform pg_catalog.set_config('rowfeed.proven', v_proven, true);
  return true;
end
