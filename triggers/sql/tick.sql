-- A tick marks a place in the feed: the snapshot it was written under and a nonce, for each channel, and once with
-- channel 0, where rotate finds it without passing over changes.
-- No SET clause here: synchronous_commit has to last until the caller's commit.
declare
  v_new   pg_catalog.text[];
  v_slot  pg_catalog.int8 := {{.SlotNow}};
  v_epoch pg_catalog.text := {{.S}}.epoch();
  v_gone  pg_catalog.int8;
begin
  -- A snapshot leaves out the transaction that takes it: what that has written would count as seen before it commits.
  if pg_catalog.pg_current_xact_id_if_assigned() is not null then
    raise exception 'a tick needs a transaction that has written nothing' using errcode = 'active_sql_transaction';
  end if;
  if pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.=) any (array['off', 'local']) then
    perform pg_catalog.set_config('synchronous_commit', 'on', true);
  end if;
  v_new := array[
    pg_catalog.pg_current_snapshot()::pg_catalog.text,
    pg_catalog.left(pg_catalog.gen_random_uuid()::pg_catalog.text, 8)
  ];
  -- Another history than the rows were written in: a failover, a restore, a copy. What it left counts as gone: all that
  -- had ended before any transaction that is open now, for none outlives its server's history. (One that is prepared
  -- does; what committed after it stays readable, and happened in this history too.) So this tick is a good place. What
  -- it wrote with ids that are not yet given out here (a dump brings such) has to go: it would seem to be new for ever.
  -- No such row is one of ours: a snapshot sees nothing of others from its xmax on. In pieces, for a tick is to be
  -- quick; and nothing is locked that a capture could wait for.
  if exists (select from {{.S}}.installation i where coalesce(i.epoch, '') operator(pg_catalog.<>) v_epoch) then
{{range .Slots}}    delete from {{$.S}}.change_{{.}} where ctid operator(pg_catalog.=) any (array(
      select r.ctid
        from (select 0::pg_catalog.int2 as id union all select c.id from {{$.S}}.channel c) h
       cross join lateral (
         select k.ctid from {{$.S}}.change_{{.}} k
          where k.channel operator(pg_catalog.=) h.id
            and k.xid operator(pg_catalog.>=) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
            and k.xid operator(pg_catalog.<>) pg_catalog.pg_current_xact_id()
          limit {{$.Piece}}) r
       limit {{$.Piece}}));
    get diagnostics v_gone = row_count;
    if v_gone operator(pg_catalog.=) {{$.Piece}} then
      return; -- the next tick goes on; until then nothing is adopted
    end if;
{{end}}    update {{.S}}.installation
       set epoch = v_epoch, swept = v_new[1]::pg_catalog.pg_snapshot,
           fence = case when fence operator(pg_catalog.=) '0'::pg_catalog.xid8 then fence else pg_catalog.pg_current_xact_id() end,
           horizon = (pg_catalog.pg_snapshot_xmin(v_new[1]::pg_catalog.pg_snapshot)::pg_catalog.text
             ::pg_catalog.int8 operator(pg_catalog.-) 1)::pg_catalog.text::pg_catalog.xid8
     where coalesce(epoch, '') operator(pg_catalog.<>) v_epoch;
  end if;
{{range .Slots}}  {{if eq . 0}}if{{else}}elsif{{end}} v_slot operator(pg_catalog.=) {{.}} then
    insert into {{$.S}}.change_{{.}} (xid, lsn, at, capture, channel, depth, op, new)
      select pg_catalog.pg_current_xact_id(), pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.clock_timestamp(),
             0, h.id, 0, 'k', v_new
        from (select 0::pg_catalog.int2 as id union all select c.id from {{$.S}}.channel c) h;
{{end}}  end if;
end
