-- What a snapshot sees, the newest transaction first, from one on downwards. Parameters: channel; xmax and transactions
-- in progress of the snapshot; transaction and position that are behind us; changes.
select i.horizon as xid, null::pg_lsn as lsn, null::timestamptz as at, i.tableoid::int4 as capture, null::int2 as depth,
       null::"char" as op, null::text[] as old, array[i.swept::text] as new, null::bool as last
from {schema}.installation i
union all
select xid, lsn, at, capture, depth, op, old, new, false from (
  select * from (
{slots}
  ) c
  order by xid desc, lsn desc limit $6
) c
