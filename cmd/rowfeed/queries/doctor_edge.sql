  select h.id as channel, f.at as first, l.at as last
  from channel h
  cross join lateral (select r.at from {table} r where r.channel = h.id order by r.xid limit 1) f
  cross join lateral (select r.at from {table} r where r.channel = h.id order by r.xid desc limit 1) l
