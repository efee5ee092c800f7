-- Writes down what a node answers: once, up to a minute after it was asked. True when it did.
begin
  if p_node is null or p_body is null or octet_length(p_node) > 64 or octet_length(p_body::text) > 1048576 then
    raise exception 'an answer needs a node and a body of up to 1 MiB' using errcode = 'invalid_parameter_value';
  end if;
  insert into {{.S}}.answer (request, node, body)
    select r.id, p_node, p_body from {{.S}}.request r
     where r.id = p_request and r.at > clock_timestamp() - interval '1 minute'
       and (select count(*) from {{.S}}.answer a where a.request = p_request) < {{.Answers}}
    on conflict do nothing;
  return found;
end
