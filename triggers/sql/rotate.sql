-- Empties the slot of the ring that comes next: true when it did, null when there was nothing in it, false when it has
-- to wait (somebody holds the table, or its newest row is not old enough yet).
declare
  v_slot pg_catalog.int8 := ({{.SlotNow}} operator(pg_catalog.+) 1) operator(pg_catalog.%) 3;
  v_xid  pg_catalog.xid8;
  v_at   pg_catalog.timestamptz;
begin
{{range .Slots}}  {{if eq . 0}}if{{else}}elsif{{end}} v_slot operator(pg_catalog.=) {{.}} then
    if not exists (select from {{$.S}}.change_{{.}}) then
      return null;
    end if;
    lock table {{$.S}}.change_{{.}} in access exclusive mode;
    -- The newest of each channel is at the end of the index: cheap, whatever the table holds.
    select l.xid, l.at into v_xid, v_at
      from {{$.S}}.channel c
     cross join lateral (select r.xid, r.at from {{$.S}}.change_{{.}} r
                          where r.channel operator(pg_catalog.=) c.id order by r.xid desc limit 1) l
     order by l.xid desc limit 1;
    if v_at operator(pg_catalog.>) (pg_catalog.clock_timestamp() operator(pg_catalog.-)
        pg_catalog.make_interval(secs => {{$.Slot}})) then
      return false;
    end if;
    update {{$.S}}.installation set horizon = v_xid where horizon operator(pg_catalog.<) v_xid;
    truncate {{$.S}}.change_{{.}};
{{end}}  end if;
  return true;
exception when lock_not_available then
  return false;
end
