-- Prepared transactions that have lasted for at least $1 seconds, the oldest first.
select gid, owner::text, database::text, extract(epoch from clock_timestamp() - prepared)::float8
from pg_prepared_xacts
where prepared <= clock_timestamp() - make_interval(secs => $1)
order by prepared
limit 5
