-- Of which history the server is, and what the channel is called there. Parameters: the channel's name; transaction and
-- nonce of the last tick that was swept, or null.
select {schema}.epoch() as epoch,
       c.id,
       c.notify,
       i.horizon::text,
       concat_ws(' ', i.swept, i.fence),
       pg_current_snapshot(),
       current_setting('max_prepared_transactions')::int > 0 as silent,
       i.tableoid as installation,
       exists (select from {schema}.change k
               where k.channel = c.id and k.xid = $2::text::xid8 and k.op = 'k' and k.new[2] = $3) as known,
       i.slot_seconds,
       array['{schema}.change_0'::regclass, '{schema}.change_1'::regclass, '{schema}.change_2'::regclass]::oid[] as tables
from {schema}.installation i, {schema}.channel c
where c.name = $1
