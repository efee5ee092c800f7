-- Ticks by the transactions that wrote them, after a row with what was truncated away. Parameters: the channel of ticks
-- alone, where a made-up transaction costs nothing; transactions.
select i.horizon as xid, array[i.swept::text] as new from {schema}.installation i
union all
select xid, new from (
{slots}
) c where op = 'k'
