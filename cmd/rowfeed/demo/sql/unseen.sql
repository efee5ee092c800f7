-- The changes that became visible since the snapshot $1 and that the user $2 of the company $3 would see with the rights
-- that were taken away: to decide on the requests of the tables $4, to work in the warehouses $5; those of $6 are left.
-- Each row has the snapshot to ask from next time; there is one without a change where there is none.
with since as (
    select distinct c.xid, split_part(k.relation, '.', 2) as name,
        (select jsonb_object_agg(f.name, f.value) from unnest(k.columns, coalesce(c.new, c.old)) f (name, value)) as row
    from rowfeed.change c
    join rowfeed.capture k on k.id = c.capture
    where c.op in ('i', 'u', 'd')
        and (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot)
            or c.xid = any (array(select pg_snapshot_xip($1::text::pg_snapshot))))
), hidden as (
    select s.xid, s.name
    from since s
    where (s.row ->> 'company_id')::bigint = $3
        and (s.row ->> 'requested_by_id')::bigint is distinct from $2
        and (s.name = any ($4::text[]) and s.row ->> 'status' <> 'draft'
            or s.name = 'inventory_stocklevel' and (s.row ->> 'warehouse_id')::bigint = any ($5::bigint[])
            or s.name = 'inventory_transferrequest' and s.row ->> 'status' in ('approved', 'shipped', 'completed')
                and array[s.row ->> 'from_warehouse_id', s.row ->> 'to_warehouse_id']::bigint[] && $5
                and not array[s.row ->> 'from_warehouse_id', s.row ->> 'to_warehouse_id']::bigint[] && $6::bigint[])
)
select now.snapshot, h.xid::text, h.name
from (select pg_current_snapshot()::text as snapshot) now
left join hidden h on true;
