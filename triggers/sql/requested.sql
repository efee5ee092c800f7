-- What was asked, for a node that has heard of it: nothing once it is half a minute old, so that a node that was away
-- does not do what nobody waits for any more.
begin
  return query select r.kind, r.body, r.asked_by from {{.S}}.request r
    where r.id = p_request and r.at > clock_timestamp() - interval '30 seconds';
end
