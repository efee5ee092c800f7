{{- define "append"}}insert into {{.S}}.change_{{.Slot}} (xid, lsn, at, capture, channel, depth, op, old, new) values (
        pg_catalog.pg_current_xact_id(), pg_catalog.pg_current_wal_insert_lsn(), v_at, {{.ID}}, {{.Channel}},
        pg_catalog.pg_trigger_depth(), {{.Op}}, v_old, v_new);{{end -}}
{{- define "ring"}}if pg_catalog.pg_notification_queue_usage() operator(pg_catalog.<=) 0.5 then
        if pg_catalog.pg_notify({{literal .Notify}}, pg_catalog.pg_current_xact_id()::pg_catalog.text) is null then
          null; -- never: but "perform" would run a query of its own, for each row
        end if;
      end if;{{end -}}
-- Written by rowfeed for {{comment .Relation}}. `rowfeed migrate up` replaces it, `rowfeed migrate down` removes it.
-- What a row costs is mostly the setting up of expressions, function by function, once in each transaction that gets to
-- them: so there are few, and what is seldom needed is in an "if" of its own.
declare
  v_op   pg_catalog."char";
  v_old  pg_catalog.text[];
  v_new  pg_catalog.text[];
  v_at   pg_catalog.timestamptz;
  v_turn pg_catalog."interval"; -- how far into the ring's turn that is
  v_until pg_catalog.timestamptz;
  v_gone pg_catalog.text; -- the version that a write within the transaction replaced
  v_list pg_catalog.text;
  v_context pg_catalog.text;
{{- range .Channels}}{{if .Ring}}
  v_ring_{{.ID}} pg_catalog.bool;
{{- end}}{{end}}
{{- if .Image}}
  v_any  pg_catalog.bool;
{{- else}}
  v_none pg_catalog.bool; -- always null, and returned: "return null" is an expression too
{{- end}}
begin
{{- if not .Image}}
  <<done>> begin
{{- range .Turned}}
  <<slot_{{.}}>> begin
{{- end}}
  -- The short way, of nearly all updates and inserts: of a version that an earlier transaction wrote and nobody has locked,
  -- or of a new row, in a slot that the plan knows. Whatever else it is, an error too, goes the long way, which begins anew.
  -- The guard of the types stands in the expression that converts them: so both are made for the same types.
  <<short>> begin
    -- Planned away; where it is false so is the rest.
    if {{.Known}}
        and NEW.xmax operator(pg_catalog.=) '0'::pg_catalog.xid and pg_catalog.age(OLD.xmin) operator(pg_catalog.>) 0 then
      v_old := case when {{.Guard "OLD"}} then {{.Values "OLD"}} end;
      v_new := {{.Values "NEW"}};
      v_at := case when v_old is null then 'infinity'::pg_catalog.timestamptz
        when {{.Appends}} then {{.Time}} end;
    elsif {{.Known}}
        and OLD.xmin is null and NEW.xmax operator(pg_catalog.=) '0'::pg_catalog.xid
        and pg_catalog.pg_trigger_depth() operator(pg_catalog.=) 1 then
      v_new := case when {{.Guard "NEW"}} then {{.Values "NEW"}} end;
      v_at := case when v_new is null then 'infinity'::pg_catalog.timestamptz else {{.Time}} end;
    else
      exit short;
    end if;
{{- range .Channels}}{{if .Ring}}
    if v_at is not null and {{with $.Chosen .}}{{.}} and {{end}}{{$.S}}.rings() and pg_catalog.pg_try_advisory_xact_lock_shared({{.Door}}) then
      v_ring_{{.ID}} := true;
    end if;
{{- end}}{{end}}
    -- Each end is planned away to a time, or to null where that is past or where it can't be written to.
{{- range .Slots}}
    {{if .}}els{{end}}if v_at operator(pg_catalog.<) {{$.SlotEnd .}} then
      exit slot_{{.}};
{{- end}}
    elsif v_at is null then
      return v_none; -- nothing that is watched has changed
    end if;
  exception when others or assert_failure then
    v_at := 'infinity'::pg_catalog.timestamptz;
  end;
  if v_at is not null then
    v_old := null;
    v_new := null;
    v_at := null;
{{- range .Channels}}{{if .Ring}}
    v_ring_{{.ID}} := null;
{{- end}}{{end}}
  end if;
{{- end}}
  -- This block writes nothing, but once where a transaction keeps its snapshot, so its subtransaction costs no id. A column
  -- that is gone, was retyped or can't be converted makes the change a resync ('r') and never an error of the ERP's statement.
  begin
    if pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.=) 'read committed' then
      -- Planned away to a time, and asked anew only when one of the tables was altered or emptied: it costs a row nothing.
      v_until := case when {{range .Slots}}{{if .}} and {{end}}{{$.S}}.writable({{$.Outbox .}}::pg_catalog.regclass){{end}}
        then {{.S}}.open_until({{.Sequence}}::pg_catalog.regclass) end;
    elsif {{.S}}.proven(pg_catalog.clock_timestamp()) then
      v_until := {{.S}}.open_until({{.Sequence}}::pg_catalog.regclass);
    end if;
    if TG_OP operator(pg_catalog.=) 'UPDATE' then
      v_op := 'u'::pg_catalog."char";
{{- if .Image}}
      v_any := OLD operator(pg_catalog.*<>) NEW; -- by the bytes: a type need not know how to compare
{{- end}}
      if {{.Guard "NEW"}} then
        v_old := {{.Values "OLD"}};
        v_new := {{.Values "NEW"}};
        if NEW.xmax operator(pg_catalog.<>) '0'::pg_catalog.xid then
          if {{.Overtaken}} and {{.Differ}} then
            v_op := 'r'::pg_catalog."char";
            v_old := null;
            v_new := null;
          end if;
        end if;
      else
        v_op := 'r'::pg_catalog."char";
      end if;
      if pg_catalog.age(OLD.xmin) operator(pg_catalog.<=) 0 then
        v_gone := {{.Version "OLD"}};
      end if;
    elsif TG_OP operator(pg_catalog.=) 'INSERT' then
      v_op := 'i'::pg_catalog."char";
      if {{.Guard "NEW"}} then
        v_new := {{.Values "NEW"}};
        if NEW.xmax operator(pg_catalog.<>) '0'::pg_catalog.xid then
          if {{.Overtaken}} then
            v_op := 'r'::pg_catalog."char";
            v_new := null;
          end if;
        end if;
      else
        v_op := 'r'::pg_catalog."char";
      end if;
      -- One by a trigger may take the key of a row whose own delete is yet to be captured, and seem to come before it.
      if pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1 then
        if ({{.Inserted}} operator(pg_catalog.~) {{.Within}}) is not true then
          perform pg_catalog.set_config('rowfeed.inserted', pg_catalog.concat(
            case when pg_catalog.starts_with({{.Inserted}}, {{.Statement}}) then {{.Inserted}} else {{.Statement}} end,
            ' ', TG_RELID, '<', least(pg_catalog.pg_trigger_depth() operator(pg_catalog.-) 1, 9)), true);
        end if;
      end if;
    elsif TG_OP operator(pg_catalog.=) 'DELETE' then
      v_op := 'd'::pg_catalog."char";
      if {{.Guard "OLD"}} then
        v_old := {{.Values "OLD"}};
        if {{.Inserted}} operator(pg_catalog.~) {{.Beneath}} then
          v_op := 'r'::pg_catalog."char";
          v_old := null;
        end if;
      else
        v_op := 'r'::pg_catalog."char";
      end if;
      if pg_catalog.age(OLD.xmin) operator(pg_catalog.<=) 0 then
        v_gone := {{.Version "OLD"}};
      end if;
    else
      v_op := 't'::pg_catalog."char";
    end if;
{{- if .Unbounded}}
    -- An outbox row above the server's limit of 1 GB would be the ERP's error.
    if {{.Larger}} then
      v_op := 'r'::pg_catalog."char";
      v_old := null;
      v_new := null;
    end if;
{{- end}}
    -- A trigger of the ERP, or a function that the statement calls, may change a row whose own change by the outer statement
    -- is yet to be captured, and would then come out after the newer one: it has to be a resync. So what is replaced of what
    -- this transaction wrote is noted, unless the statement is the client's own: the context of that is one line.
    if v_gone is not null then
      get diagnostics v_context = pg_context;
      if pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1 or pg_catalog.strpos(v_context, E'\n') operator(pg_catalog.>) 0 then
        v_list := coalesce(pg_catalog.current_setting('rowfeed.replaced', true), '');
        if not pg_catalog.starts_with(v_list, {{.Statement}}) then
          v_list := {{.Statement}};
        end if;
        if pg_catalog.length(v_list) operator(pg_catalog.<) 8000 then
          v_list := v_list operator(pg_catalog.||) v_gone;
          if pg_catalog.length(v_list) operator(pg_catalog.>=) 8000 then
            v_list := v_list operator(pg_catalog.||) ' *'; -- from there on, any that may be
          end if;
          perform pg_catalog.set_config('rowfeed.replaced', v_list, true);
        end if;
      end if;
    end if;
    -- Where somebody has altered the outbox, that is not the ERP's trouble, and status tells of it.
    if v_until is null{{if not .Image}} or ({{.Differ}}) is false{{end}} then
      return null;
    end if;
    v_at := pg_catalog.clock_timestamp();
{{- range .Channels}}{{if .Ring}}
    -- NOTIFY can make a commit fail (two-phase commit, a full queue) and serialises commits: so only while nobody is awake
    -- who would see the row anyway. The bridge's leader holds this lock exclusively while it is, or waits for it. A try
    -- never waits, but the server's table of locks may be full: then a sweep finds the row without being rung for.
    v_ring_{{.ID}} := {{$.S}}.rings() and pg_catalog.pg_try_advisory_xact_lock_shared({{.Door}}); -- rings is planned away too
{{- end}}{{end}}
  exception when others or assert_failure then -- "others" are all but that and a cancelled statement
    if v_until is null then
      return null;
    end if;
    if v_at is null then -- it was before the locks
      v_op := 'r'::pg_catalog."char";
      v_old := null;
      v_new := null;
      v_at := pg_catalog.clock_timestamp();
    elsif v_list is not null then
      perform pg_catalog.set_config('rowfeed.replaced', v_list, true); -- undone with the block
    end if;
  end;
  if v_at operator(pg_catalog.>=) v_until then -- nobody empties the outbox, or this plan is old
    begin
      perform from {{.S}}.open_until u where pg_catalog.to_timestamp(u.last_value) operator(pg_catalog.>) v_at;
      if not found then
        return null;
      end if;
    exception when others then
      return null; -- somebody has altered it
    end;
  end if;
  v_turn := {{.TurnAt "v_at"}};
{{- range $channel := .Channels}}
{{- if .Changed}}
  if v_old is null or v_new is null or {{.Changed}} then
{{- end}}
{{- range $.Slots}}
    {{if eq . 0}}if v_turn operator(pg_catalog.<) {{$.Seconds 1}} then{{else if eq . 1}}elsif v_turn operator(pg_catalog.<) {{$.Seconds 2}} then{{else}}else{{end}}
      {{template "append" $.Append . $channel.ID "v_op"}}
{{- end}}
    end if;
{{- if .Ring}}
    -- Not in the block above: of a subtransaction that has notified 8 kB of memory stay until the end of the transaction.
    if v_ring_{{.ID}} then
      {{template "ring" .}}
    end if;
{{- end}}
{{- if .Changed}}
  end if;
{{- end}}
{{- end}}
  return null;
{{- if not .Image}}
{{- range $slot := .Slots}}
  end slot_{{.}};
{{- range $channel := $.Channels}}
  {{with $.Chosen .}}if {{.}} then {{end}}{{template "append" $.Append $slot .ID $.UpdateOrInsert}}{{if $.Chosen .}} end if;{{end}}
{{- end}}
  exit done;
{{- end}}
  end done;
{{- range .Channels}}{{if .Ring}}
    if v_ring_{{.ID}} then
      {{template "ring" .}}
    end if;
{{- end}}{{end}}
  return v_none;
{{- end}}
end
