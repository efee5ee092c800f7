-- Until when captures append to the outbox unless a bridge extends that: it is a ring that somebody has to empty.
--
-- It says that it is immutable, which it is not, so that a plan holds its answer: as plans of captures are made anew when a
-- table of the outbox is emptied, that is once in a slot. Who has a plan of before looks again before it leaves anything
-- out. A sequence, for it shows its value to every snapshot, however old.
begin
  return (select to_timestamp(u.last_value) from {{.S}}.open_until u where p_sequence is not null);
end
