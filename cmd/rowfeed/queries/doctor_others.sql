-- Who may do what in rowfeed's schema, $1, beside its owner, $2, the operators, $3, and serve's role, $4; and what is odd
-- about the owner: who, what, what to do.
select case a.grantee when 0 then 'everybody (PUBLIC)' else 'role ' || quote_ident(pg_get_userbyid(a.grantee)) end as who,
       'may ' || string_agg(distinct lower(a.privilege_type), ', ' order by lower(a.privilege_type)) || ' '
         || case when count(distinct c.oid) = 1 then min(c.oid::regclass::text) else count(distinct c.oid) || ' tables of schema ' || quote_ident($1) end,
       'revoke all on all tables in schema ' || quote_ident($1) || ' from ' || case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
cross join lateral aclexplode(c.relacl) a
left join pg_roles r on r.oid = a.grantee
where n.nspname = $1 and c.relkind in ('r', 'v') and a.grantee <> c.relowner
  and coalesce(r.rolname not in ($2, $4), true)
group by a.grantee
union all
select case a.grantee when 0 then 'everybody (PUBLIC)' else 'role ' || quote_ident(pg_get_userbyid(a.grantee)) end,
       'may ' || string_agg(distinct lower(a.privilege_type), ', ' order by lower(a.privilege_type)) || ' columns of '
         || c.oid::regclass::text,
       'revoke all (' || string_agg(distinct quote_ident(t.attname), ', ' order by quote_ident(t.attname)) || ') on ' || c.oid::regclass::text
         || ' from ' || case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute t on t.attrelid = c.oid
cross join lateral aclexplode(t.attacl) a
left join pg_roles r on r.oid = a.grantee
where n.nspname = $1 and c.relkind in ('r', 'v') and a.grantee <> c.relowner
  and coalesce(r.rolname not in ($2, $4), true)
group by a.grantee, c.oid
union all
select case a.grantee when 0 then 'everybody (PUBLIC)' else 'role ' || quote_ident(pg_get_userbyid(a.grantee)) end,
       'may call ' || string_agg(quote_ident(p.proname), ', ' order by p.proname) || ' of schema ' || quote_ident($1),
       'revoke all on all functions in schema ' || quote_ident($1) || ' from ' || case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
left join pg_roles r on r.oid = a.grantee
where n.nspname = $1 and a.grantee <> p.proowner and p.prorettype <> 'trigger'::regtype -- which nobody can call
  and coalesce(r.rolname not in ($2, $4), true)
  and not coalesce(r.rolname = $3 and p.proname in ('ask', 'answers'), false)
group by a.grantee
union all
select 'role ' || quote_ident(r.rolname), 'can log in', 'alter role ' || quote_ident(r.rolname) || ' nologin'
from pg_roles r
where r.rolname in ($2, $3) and r.rolcanlogin
union all
select 'role ' || quote_ident(r.rolname), 'is a superuser', 'alter role ' || quote_ident(r.rolname) || ' nosuperuser'
from pg_roles r
where r.rolname in ($2, $3) and r.rolsuper
union all
select 'publication ' || quote_ident(t.pubname), 'sends ' || count(*) || ' tables of schema ' || quote_ident($1) || ' to its subscribers',
       'let it name its tables; where it stays so, a subscriber of PostgreSQL needs tables of the same names, else it stops'
from pg_publication_tables t
where t.schemaname = $1
group by t.pubname
order by 1, 2
