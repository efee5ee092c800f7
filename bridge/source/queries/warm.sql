-- The tick to begin at: the newest that is old enough, or the oldest among the newest changes. Parameters: channel;
-- seconds; changes.
select xid::text, new from (
  select xid, op, new, at > clock_timestamp() - make_interval(secs => $2) as young from (
{slots}
  ) c order by xid desc limit $3
) c
where op = 'k'
order by young, case when young then xid::text::numeric else -xid::text::numeric end
limit 1
