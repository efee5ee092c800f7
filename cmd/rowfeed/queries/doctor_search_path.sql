-- Schemas of the search path in which PUBLIC may create.
select quote_ident(s.name)
from unnest(current_schemas(false)) s(name)
join pg_namespace n on n.nspname = s.name
where has_schema_privilege(0::oid, n.oid, 'create')
order by 1
