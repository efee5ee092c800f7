-- The three people of the demo, all of one company: who files requests and has no other part, who decides on them, and
-- who works in a warehouse.
with member as (
    select u.id, u.first_name, u.last_name, u.company_id, c.name as company,
        coalesce(array_agg(distinct g.name::text) filter (where g.id is not null), '{}') as groups,
        coalesce(array_agg(distinct s.warehouse_id) filter (where s.id is not null), '{}') as warehouses
    from auth_user u
    join core_company c on c.id = u.company_id
    left join auth_user_groups ug on ug.user_id = u.id
    left join auth_group g on g.id = ug.group_id
    left join inventory_warehouse_staff s on s.user_id = u.id
    where u.is_active
    group by u.id, c.id
), part as (
    select m.*, case
        when 'finance-approver' = any (m.groups) then 'approver'
        when m.warehouses <> '{}' and not m.groups && '{purchasing,manager,hr,grants}' then 'clerk'
        when m.groups = '{}' and m.warehouses = '{}' then 'requester'
    end as part
    from member m
), home as (
    select company_id from part where part is not null group by company_id
    having count(distinct part) = 3 order by company_id limit 1
)
select distinct on (p.part) p.part, p.id::bigint, p.first_name, p.last_name, p.company_id, p.company,
    array(select jsonb_build_object('id', g.id::text, 'name', g.name)
        from auth_group g where g.name = any (p.groups) order by g.name) as groups,
    array(select jsonb_build_object('id', w.id::text, 'name', w.name)
        from inventory_warehouse w where w.id = any (p.warehouses) order by w.name) as warehouses
from part p
join home using (company_id)
where p.part is not null
order by p.part,
    (select count(*) from finance_expenserequest r where r.requested_by_id = p.id and r.status = 'pending') desc,
    (select count(*) from finance_expenserequest r where r.requested_by_id = p.id) desc, p.id;
