-- Writes down what an operator asks, and has every node hear of it by the outbox: the control channel's change of a row
-- of request. Returns the request's id.
declare
  v_id pg_catalog.uuid := pg_catalog.gen_random_uuid();
  v_at pg_catalog.timestamptz := pg_catalog.clock_timestamp();
  v_slot pg_catalog.int8;
  v_channel pg_catalog.int2;
begin
  if p_kind is null or p_body is null or pg_catalog.octet_length(p_kind) > 64 or pg_catalog.octet_length(p_body::text) > 16384 then
    raise exception 'a request needs a kind and a body of up to 16 KiB' using errcode = 'invalid_parameter_value';
  end if;
  lock table {{.S}}.request in share row exclusive mode; -- one at a time, so that the limit holds
  delete from {{.S}}.request r where r.at < v_at - interval '5 minutes';
  if (select count(*) from {{.S}}.request r where r.at > v_at - interval '30 seconds') >= {{.Requests}} then
    raise exception 'too many requests: try again in half a minute' using errcode = 'configuration_limit_exceeded';
  end if;
  insert into {{.S}}.request (id, kind, body, asked_by, at) values (v_id, p_kind, p_body, session_user, v_at);
  select h.id into v_channel from {{.S}}.channel h where h.name = {{literal .Control}};
  v_slot := {{.SlotAt "v_at"}};
{{range .Slots}}  {{if eq . 0}}if{{else}}elsif{{end}} v_slot = {{.}} then
    insert into {{$.S}}.change_{{.}} (xid, lsn, at, capture, channel, depth, op, new) values (
      pg_current_xact_id(), pg_current_wal_insert_lsn(), v_at, {{$.RequestID}}, v_channel, 0, 'i', array[v_id::text, p_kind]);
{{end}}  end if;
  -- As captures do: not where NOTIFY might make the commit fail, nor while the nodes are awake anyway.
  if current_setting('max_prepared_transactions') = '0' then
    if pg_try_advisory_xact_lock_shared({{.ControlDoor}}) then
      if pg_notification_queue_usage() <= 0.5 then
        perform pg_notify({{literal .ControlNotify}}, pg_current_xact_id()::text);
      end if;
    end if;
  end if;
  return v_id;
end
