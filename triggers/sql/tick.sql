-- A tick marks a place in the feed: the snapshot it was written under and a nonce, for each channel.
-- No SET clause here: synchronous_commit has to last until the caller's commit.
declare
  v_new  pg_catalog.text[];
  v_slot pg_catalog.int8 := {{.SlotNow}};
begin
  if pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.=) any (array['off', 'local']) then
    perform pg_catalog.set_config('synchronous_commit', 'on', true);
  end if;
  v_new := array[
    pg_catalog.pg_current_snapshot()::pg_catalog.text,
    pg_catalog.left(pg_catalog.gen_random_uuid()::pg_catalog.text, 8)
  ];
{{range .Slots}}  {{if eq . 0}}if{{else}}elsif{{end}} v_slot operator(pg_catalog.=) {{.}} then
    insert into {{$.S}}.change_{{.}} (xid, lsn, at, capture, channel, depth, op, new)
      select pg_catalog.pg_current_xact_id(), pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.clock_timestamp(),
             0, c.id, 0, 'k', v_new
        from {{$.S}}.channel c;
{{end}}  end if;
end
