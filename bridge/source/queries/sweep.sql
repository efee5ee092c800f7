-- What became visible to a channel. Parameters: channel, xmax of the previous snapshot{, its transactions in progress}.
-- The first row is about the statement itself: its snapshot, and of the installation the horizon and which one it is.
-- The others are changes in the order of their capture.
(select pg_current_snapshot() as snapshot, i.horizon as xid, null::pg_lsn as lsn, null::timestamptz as at,
        i.tableoid::int4 as capture, null::int2 as depth, null::"char" as op, null::text[] as old, null::text[] as new
 from {schema}.installation i)
union all
(select null, * from (
{slots}
) c order by lsn, xid)
