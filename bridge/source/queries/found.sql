-- The changes that a transaction made at a position. Parameters: transaction; position.
select c.xid, c.lsn, c.at, c.capture, c.depth, c.op, c.old, c.new, n.name
from {schema}.channel n
join {schema}.change c on c.channel = n.id
where c.xid = $1::text::xid8 and c.lsn = $2::text::pg_lsn and c.op <> 'k'
