    (select xid, lsn, at, capture, depth, op, old, new, tableoid from {table} where channel = $1 and {what})
