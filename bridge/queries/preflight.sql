-- What would keep the bridge from working. Parameters: rowfeed's schema.
select pg_is_in_recovery(),
       i.oid is not null,
       coalesce(has_schema_privilege(n.oid, 'usage') and has_table_privilege(i.oid, 'select'), false),
       exists (select from pg_proc p where p.pronamespace = n.oid and p.proname = 'keep_open'),
       coalesce((select bool_and(has_function_privilege(p.oid, 'execute')) from pg_proc p
                 where p.pronamespace = n.oid and p.proname in ('epoch', 'keep_open', 'tick', 'rotate', 'ask', 'requested', 'answer', 'answers', 'note')), false)
from (select 1) one
left join pg_namespace n on n.nspname = $1
left join pg_class i on i.relnamespace = n.oid and i.relname = 'installation'
