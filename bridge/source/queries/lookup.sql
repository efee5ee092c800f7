-- Ticks by the transactions that wrote them, after a row with what was truncated away. Parameters: channel; transactions.
select i.horizon as xid, array[i.swept::text] as new from {schema}.installation i
union all
select xid, new from (
{slots}
) c where op = 'k'
