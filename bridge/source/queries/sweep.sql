-- What became visible to a channel. Parameters: channel; for each slot xmax of the snapshot up to which it was read{; for
-- each slot the transactions that were in progress then}.
-- The first row is about the statement itself: its snapshot, the installation's horizon, oid and seconds of a slot, and
-- the slot of now. The others are changes in the order of their capture.
(select pg_current_snapshot() as snapshot, i.horizon as xid, null::pg_lsn as lsn, null::timestamptz as at,
        i.tableoid::int4 as capture, ({slot})::int2 as depth, null::"char" as op, null::text[] as old,
        array[i.slot_seconds::text, concat_ws(' ', i.swept, i.fence)] as new, null::oid as tableoid
 from {schema}.installation i)
union all
(select null, * from (
{slots}
) c order by lsn, xid)
