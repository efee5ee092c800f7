-- Writes down how a watched table stands. Where that is not as it was, changes may not have been captured: every channel
-- of the table gets a change that says so (op r), as all who read the outbox understand it. p_again says it once more, for
-- what was in progress then. Returns whether this call told of it, and since when the table stands so.
declare
  v_at pg_catalog.timestamptz := pg_catalog.clock_timestamp();
  v_slot pg_catalog.int8;
  v_told pg_catalog.bool;
  v_since pg_catalog.timestamptz;
  v_capture pg_catalog.int4;
  v_channels pg_catalog.int2[];
begin
  if p_relation is null or p_state is null or p_thread is null or p_seen is null then
    raise exception 'a note needs a table, its state, a thread and a snapshot' using errcode = 'invalid_parameter_value';
  end if;
  insert into {{.S}}.drift (relation, state, thread, seen, since) values (p_relation, p_state, p_thread, p_seen, v_at)
    on conflict do nothing;
  if found then
    v_told := p_state <> 'installed';
  else
    -- What was seen earlier than what is known counts for nothing, unless that is of a history with higher ids.
    update {{.S}}.drift d
       set state = p_state, thread = p_thread, seen = p_seen, since = case when d.state = p_state then d.since else v_at end
     where d.relation = p_relation
       and (d.state <> p_state or d.thread <> p_thread)
       and (pg_snapshot_xmax(d.seen) <= pg_snapshot_xmax(p_seen)
         or pg_snapshot_xmax(d.seen) > pg_snapshot_xmax(pg_current_snapshot()));
    v_told := found;
  end if;
  v_told := v_told or coalesce(p_again, false);
  select d.since into v_since from {{.S}}.drift d where d.relation = p_relation;
  select c.id, c.channels into v_capture, v_channels from {{.S}}.capture c
   where c.relation = p_relation order by c.id desc limit 1;
  if v_told and v_capture is not null then
    v_slot := {{.SlotAt "v_at"}};
{{range .Slots}}    {{if eq . 0}}if{{else}}elsif{{end}} v_slot = {{.}} then
      insert into {{$.S}}.change_{{.}} (xid, lsn, at, capture, channel, depth, op)
        select pg_current_xact_id(), pg_current_wal_insert_lsn(), v_at, v_capture, u, 0, 'r' from unnest(v_channels) u;
{{end}}    end if;
    -- As captures do: NOTIFY can make a commit fail, so it is left out where it might; nodes look once a second anyway.
    if current_setting('max_prepared_transactions') = '0' and pg_notification_queue_usage() <= 0.5 then
      perform pg_notify(h.notify, pg_current_xact_id()::text) from {{.S}}.channel h where h.id = any (v_channels);
    end if;
  end if;
  return query select v_told, v_since;
end
