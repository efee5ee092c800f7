-- Ticks that were written since a snapshot, the last of each stretch of changes first. Parameters: channel; xmax; changes.
select xid, new from (
  select xid, op, new from (
{slots}
  ) c order by xid limit $3
) c
where op = 'k'
order by xid desc
limit 64
