-- The newest changes of a channel that may be of a row, and what voids all of its table. Parameters: the channel's name;
-- ids of the decoders; the captured texts of the row's key, none where they are not known.
declare rowfeed_newest no scroll cursor for
select c.xid, c.lsn, c.at, c.capture, c.depth, c.op, c.old, c.new, $1::text
from {schema}.change c
where c.channel = (select n.id from {schema}.channel n where n.name = $1) and c.capture = any ($2::int4[])
  and (c.op in ('r', 't') or c.new @> $3::text[] or c.old @> $3::text[])
order by c.xid desc, c.lsn desc
