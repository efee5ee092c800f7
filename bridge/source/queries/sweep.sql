-- What became visible to a channel. Parameters: channel, xmax of the previous snapshot{, its transactions in progress}.
-- The row with a snapshot is the statement's own; the others are changes in the order of their capture.
(select pg_current_snapshot() as snapshot, null::xid8 as xid, null::pg_lsn as lsn, null::timestamptz as at,
        null::int4 as capture, null::int2 as depth, null::"char" as op, null::text[] as old, null::text[] as new)
union all
(select null, * from (
{slots}
) c order by lsn, xid)
