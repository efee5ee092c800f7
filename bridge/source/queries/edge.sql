-- What the outbox can tell of. Null: there is nothing in it.
select {schema}.epoch(), i.horizon::text, i.slot_seconds, pg_current_snapshot()::text,
       (select k.at from {schema}.change k where k.channel = 0 order by k.xid limit 1)
from {schema}.installation i
