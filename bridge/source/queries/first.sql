-- The first ticks since a snapshot, however many changes are before them. Parameters: the channel of ticks alone; xmax.
select xid, new from (
{slots}
) c
where op = 'k'
order by xid
limit 64
