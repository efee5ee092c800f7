-- Has captures go on until the fifth slot from now begins: so no table of the outbox is written to in more than two turns of
-- the ring without being emptied, and without a bridge captures go on for four slots at least. Returns the seconds until
-- then, and since when captures had stopped; null when they had not, or when all has been told of it.
--
-- A step each time it is called, each to be committed by itself. Captures that had stopped have left changes out. That is
-- written down first; then they go on; and only an id that is given out after that is above those of all transactions
-- that may have left something out: it is the fence. What lies before it is no place to resume from, and when one of them
-- ends every node tells of a gap.
declare
  v_due     int8 := {{.Due}};
  v_until   int8;
  v_open    boolean;
  v_stopped timestamptz;
  v_shown   timestamptz;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'keep_open needs a transaction that is read committed';
  end if;
  select u.last_value, to_timestamp(u.last_value) > clock_timestamp() into v_until, v_open from {{.S}}.open_until u;
  select i.stopped, i.open_until into v_stopped, v_shown from {{.S}}.installation i;
  begin
    if pg_current_xact_id_if_assigned() is not null then
      null; -- neither the first step nor the last would be what it is to be: another time
    elsif not v_open and v_stopped is null then
      v_stopped := to_timestamp(v_until);
      update {{.S}}.installation i set stopped = v_stopped where i.stopped is null;
    elsif v_until <> v_due then
      v_until := setval({{.Sequence}}::regclass, v_due);
    elsif v_stopped is not null or v_shown is distinct from to_timestamp(v_due) then
      update {{.S}}.installation i
         set open_until = to_timestamp(v_due), stopped = null,
             fence = case when i.stopped is null then i.fence else pg_current_xact_id() end;
      v_stopped := null;
    end if;
  exception when lock_not_available then
    null; -- by another node: another time
  end;
  return query select v_until - date_part('epoch', clock_timestamp()), v_stopped;
end
