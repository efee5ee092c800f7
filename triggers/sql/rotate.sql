-- Empties the slot of the ring that comes next: true when it did, null when there was nothing in it, false when it has
-- to wait: somebody holds the table, its newest row is not old enough yet, or a row is of a transaction that ended so
-- late that a node may not have read it. Of those that a tick sees which is ten seconds old, every connected node has.
declare
  v_slot     pg_catalog.int8 := ({{.SlotNow}} operator(pg_catalog.+) 1) operator(pg_catalog.%) 3;
  v_xid      pg_catalog.xid8;
  v_at       pg_catalog.timestamptz;
  v_snapshot pg_catalog.pg_snapshot;
begin
  -- What another transaction has committed while this one waited for the table has to be seen.
  if pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.<>) 'read committed' then
    raise exception 'rotate needs a transaction that is read committed';
  end if;
  perform from {{.S}}.keep_open();
  begin
    delete from {{.S}}.request r where r.at operator(pg_catalog.<) (pg_catalog.clock_timestamp() operator(pg_catalog.-)
      pg_catalog.make_interval(mins => 5));
  exception when lock_not_available then
    null; -- by who asks and does not commit: another time, the ring turns without it
  end;
  select k.new[1]::pg_catalog.pg_snapshot into v_snapshot
    from (
{{- range .Slots}}{{if .}}
          union all{{end}}
          (select r.xid, r.new from {{$.S}}.change_{{.}} r
            where r.channel operator(pg_catalog.=) 0 and r.at operator(pg_catalog.<) (
                  pg_catalog.clock_timestamp() operator(pg_catalog.-) pg_catalog.make_interval(secs => 10))
            order by r.xid desc limit 1)
{{- end}}) k
   order by k.xid desc limit 1;
{{range .Slots}}  {{if eq . 0}}if{{else}}elsif{{end}} v_slot operator(pg_catalog.=) {{.}} then
    for v_try in 1..2 loop -- without the lock first: mostly there is nothing to do
      -- The newest of each channel is at the end of the index: cheap, whatever the table holds.
      select l.xid, l.at into v_xid, v_at
        from (select 0::pg_catalog.int2 as id union all select c.id from {{$.S}}.channel c) h
       cross join lateral (select r.xid, r.at from {{$.S}}.change_{{.}} r
                            where r.channel operator(pg_catalog.=) h.id order by r.xid desc limit 1) l
       order by l.xid desc limit 1;
      if v_xid is null then
        return null;
      end if;
      if v_snapshot is null
         or v_at operator(pg_catalog.>) (pg_catalog.clock_timestamp() operator(pg_catalog.-)
              pg_catalog.make_interval(secs => {{$.Slot}}))
         or v_xid operator(pg_catalog.>=) pg_catalog.pg_snapshot_xmax(v_snapshot)
         or exists (select from (select 0::pg_catalog.int2 as id union all select c.id from {{$.S}}.channel c) h
                    cross join pg_catalog.pg_snapshot_xip(v_snapshot) x (xid)
                    -- "limit" has the index looked up for each, whatever the planner thinks of a young table.
                    cross join lateral (select from {{$.S}}.change_{{.}} r where r.channel operator(pg_catalog.=) h.id
                                           and r.xid operator(pg_catalog.=) x.xid limit 1) l) then
        return false;
      end if;
      if v_try operator(pg_catalog.=) 1 then
        lock table {{$.S}}.change_{{.}} in access exclusive mode;
      end if;
    end loop;
    -- "swept" moves on even where the horizon does not: a transaction that ended late may have the lower id.
    update {{$.S}}.installation set horizon = greatest(horizon, v_xid), swept = v_snapshot;
    truncate {{$.S}}.change_{{.}};
{{end}}  end if;
  return true;
exception when lock_not_available then
  return false;
end
