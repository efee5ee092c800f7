-- Until when captures may append to a slot of the ring without asking anything else: until it ends in this turn, if it has
-- not yet, and its tables can be written to, and captures go on so long; else null.
--
-- It says that it is immutable, which it is not, so that a plan holds its answer, in transactions of any isolation: the plan
-- is made anew as soon as a table of the outbox was altered or emptied. But one that keeps its snapshot must not make it: it
-- may see the catalog as it was before.
declare
  v_now timestamptz := clock_timestamp();
  v_end timestamptz := v_now - ({{.TurnAt "v_now"}})
    + case p_slot when 0 then {{.Seconds 1}} when 1 then {{.Seconds 2}} else {{.Seconds 3}} end;
begin
  if current_setting('transaction_isolation') = 'read committed' and v_now < v_end
     and (select bool_and({{.S}}.writable(t)) from unnest(p_tables) t) then
    return least(v_end, {{.S}}.open_until(p_sequence));
  end if;
  return null;
end
