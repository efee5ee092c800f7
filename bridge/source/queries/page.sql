-- What one snapshot sees and an earlier one does not, in the order of capture, from a position on. Parameters: channel;
-- xmax and transactions in progress of the earlier; the same of the later; position; transaction; changes; bytes.
-- The first row holds what was truncated away.
(select i.horizon as xid, null::pg_lsn as lsn, null::timestamptz as at, i.tableoid::int4 as capture, null::int2 as depth,
        null::"char" as op, null::text[] as old, array[i.swept::text] as new, null::bool as last
 from {schema}.installation i)
union all
(select xid, lsn, at, capture, depth, op, old, new, last from (
  select *, sum(coalesce(pg_column_size(old), 0) + coalesce(pg_column_size(new), 0)) over (order by lsn, xid) as bytes,
         row_number() over (order by lsn, xid) as n, lead(xid) over (order by lsn, xid) is null as last
  from (
    select * from (
{slots}
    ) c
    where op <> 'k' and not xid = any ($5::text::xid8[]) and (lsn, xid) > ($6::text::pg_lsn, $7::text::xid8)
    order by lsn, xid limit $8 + 1 -- not all that a transaction of a million rows has left
  ) c
) c
where n <= $8 and (n = 1 or bytes <= $9)
order by lsn, xid)
