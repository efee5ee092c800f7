-- Ticks by the transactions that wrote them, after the installation's horizon. Parameters: channel; transactions.
select i.horizon as xid, null::text[] as new from {schema}.installation i
union all
select xid, new from (
{slots}
) c where op = 'k'
