-- What a snapshot sees, the newest transaction first, from one on downwards. Parameters: channel; xmax and transactions
-- in progress of the snapshot; transaction and position that are behind us; changes.
-- Each row holds what was truncated away too; there is one without a change where there is none.
select i.horizon, concat_ws(' ', i.swept, i.fence), c.xid, c.lsn, c.at, c.capture, c.depth, c.op, c.old, c.new, false as last
from {schema}.installation i
left join lateral (
  select * from (
{slots}
  ) c
  order by xid desc, lsn desc limit $6
) c on true
order by c.xid desc, c.lsn desc
