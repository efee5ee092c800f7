-- What one snapshot sees and an earlier one does not, in the order of capture, from a position on. Parameters: channel;
-- xmax and transactions in progress of the earlier; the same of the later; position; transaction; changes; bytes.
-- Each row holds what was truncated away too; there is one without a change where there is none.
select i.horizon, concat_ws(' ', i.swept, i.fence), c.xid, c.lsn, c.at, c.capture, c.depth, c.op, c.old, c.new, c.last
from {schema}.installation i
left join lateral (
  select *, sum(coalesce(pg_column_size(old), 0) + coalesce(pg_column_size(new), 0)) over (order by lsn, xid) as bytes,
         row_number() over (order by lsn, xid) as n, lead(xid) over (order by lsn, xid) is null as last
  from (
    select * from (
{slots}
    ) c
    where op <> 'k' and not xid = any ($5::text::xid8[]) and (lsn, xid) > ($6::text::pg_lsn, $7::text::xid8)
    order by lsn, xid limit $8 + 1 -- not all that a transaction of a million rows has left
  ) c
) c on c.n <= $8 and (c.n = 1 or c.bytes <= $9)
order by c.lsn, c.xid
