-- How the outbox stands: each age in seconds, null where there is no row. The first and the last row of each channel are at
-- the ends of the index, so this is quick whatever the tables hold.
with channel as (select 0::smallint as id union all select id from {schema}.channel),
edge as (
{edges}
)
select (select slot_seconds from {schema}.installation)::float8,
       (select extract(epoch from open_until - clock_timestamp()) from {schema}.installation)::float8,
       (select extract(epoch from clock_timestamp() - min(first)) from edge)::float8,
       (select extract(epoch from max(last) - clock_timestamp()) from edge)::float8,
       (select extract(epoch from clock_timestamp() - max(last)) from edge where channel = 0)::float8,
       coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8,
       coalesce(sum(pg_stat_get_dead_tuples(c.oid)), 0)::int8
from pg_class c
where c.relnamespace = (select n.oid from pg_namespace n where n.nspname = $1) and c.relkind = 'r'
