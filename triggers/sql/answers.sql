-- What the nodes have answered so far, for the one who asked.
begin
  return query select a.node, a.body from {{.S}}.answer a join {{.S}}.request r on r.id = a.request
    where r.id = p_request and r.asked_by = session_user order by a.node;
end
