-- Ticks by the transactions that wrote them, each with what was truncated away; without any, that alone. Parameters: the
-- channel of ticks alone, where a made-up transaction costs nothing; transactions.
select i.horizon, concat_ws(' ', i.swept, i.fence), c.xid, c.new
from {schema}.installation i
left join (
{slots}
) c on c.op = 'k'
