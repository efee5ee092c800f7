-- The requests that a user may see, as the ERP's own REST interface decides: one's own; what was filed and is for one's
-- groups to decide; transfers that concern one's warehouses. $1 company, $2 user, $3 table and $4 id of one request or
-- null.
with me as (
    select array(select g.name::text from auth_group g join auth_user_groups ug on ug.group_id = g.id
            where ug.user_id = $2) as groups,
        array(select warehouse_id from inventory_warehouse_staff where user_id = $2) as warehouses
), request as (
    select 'finance_expenserequest' as source, id, number, company_id, requested_by_id, 'expense' as kind,
        'receipt' as icon, description as subject, amount, currency, status, created_at, updated_at,
        'finance-approver' as decider, null::bigint[] as warehouses
    from finance_expenserequest
    union all
    select 'finance_advancerequest', id, number, company_id, requested_by_id, 'advance', 'wallet', purpose, amount,
        currency, status, created_at, updated_at, 'finance-approver', null
    from finance_advancerequest
    union all
    select 'hr_leaverequest', id, number, company_id, requested_by_id, kind || ' leave', 'calendar',
        trim_scale(days) || case days when 1 then ' day from ' else ' days from ' end || to_char(starts_on, 'FMDD Mon')
            || ', ' || reason,
        null, null, status, created_at, updated_at, 'hr', null
    from hr_leaverequest
    union all
    select 'hr_policyapproval', id, number, company_id, requested_by_id, 'policy', 'shield', title || ', ' || version,
        null, null, status, created_at, updated_at, 'hr', null
    from hr_policyapproval
    union all
    select 'procurement_purchaseorder', id, number, company_id, requested_by_id, 'purchase order', 'cart', supplier,
        amount, currency, status, created_at, updated_at, 'purchasing', null
    from procurement_purchaseorder
    union all
    select 'inventory_transferrequest', t.id, t.number, t.company_id, t.requested_by_id, 'transfer', 'truck',
        t.quantity || ' × ' || s.name || ', ' || f.city || ' to ' || d.city, null, null, t.status, t.created_at,
        t.updated_at, 'manager', array[t.from_warehouse_id, t.to_warehouse_id]
    from inventory_transferrequest t
    join inventory_sku s on s.id = t.sku_id
    join inventory_warehouse f on f.id = t.from_warehouse_id
    join inventory_warehouse d on d.id = t.to_warehouse_id
    union all
    select 'inventory_physicalcount', p.id, p.number, p.company_id, p.requested_by_id, 'count', 'clipboard',
        s.name || ', ' || w.name, null, null, p.status, p.created_at, p.updated_at, 'manager', null
    from inventory_physicalcount p
    join inventory_sku s on s.id = p.sku_id
    join inventory_warehouse w on w.id = p.warehouse_id
    union all
    select 'grants_disbursement', d.id, d.number, d.company_id, d.requested_by_id, 'disbursement', 'receipt', g.title,
        d.amount, d.currency, d.status, d.created_at, d.updated_at, 'grants', null
    from grants_disbursement d
    join grants_grant g on g.id = d.grant_id
)
select r.source, r.id, r.number, r.kind, r.icon, r.subject, r.amount::text, coalesce(r.currency, '') as currency,
    r.status, r.requested_by_id::text as requester_id, u.first_name || ' ' || u.last_name as requester,
    r.created_at, r.updated_at, r.decider = any (me.groups) and r.requested_by_id <> $2 as decidable
from me
cross join request r
join auth_user u on u.id = r.requested_by_id
where r.company_id = $1
    and (r.requested_by_id = $2
        or r.decider = any (me.groups) and r.status <> 'draft'
        or r.warehouses && me.warehouses and r.status in ('approved', 'shipped', 'completed'))
    and ($3::text is null or r.source = $3 and r.id = $4)
order by r.status = 'pending' desc, r.updated_at desc, r.id desc
limit 500;
