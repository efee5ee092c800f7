-- The same of one slot, while all that is new can only be there. Parameters: channel, xmax{, transactions in progress}.
(select pg_current_snapshot() as snapshot, null::xid8 as xid, null::pg_lsn as lsn, null::timestamptz as at,
        null::int4 as capture, ({slot})::int2 as depth, null::"char" as op, null::text[] as old, null::text[] as new,
        null::oid as tableoid)
union all
(select null, * from (
{slots}
) c order by lsn, xid)
