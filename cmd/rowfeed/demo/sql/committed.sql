-- How many row changes became visible since the snapshot $1, and the snapshot to ask from next time.
select count(distinct (xid, lsn, capture)), pg_current_snapshot()::text
from rowfeed.change
where op in ('i', 'u', 'd', 't', 'r')
    and (xid >= pg_snapshot_xmax($1::text::pg_snapshot)
        or xid = any (array(select pg_snapshot_xip($1::text::pg_snapshot))));
