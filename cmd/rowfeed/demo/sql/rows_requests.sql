-- Requests to try an UPDATE on: of the requester ($2), of others in the company ($1), of other companies.
(
    select r.id, r.number || ', ' || u.first_name || ' ' || u.last_name as label, r.status as value,
        r.company_id, r.requested_by_id::bigint as author
    from finance_expenserequest r join auth_user u on u.id = r.requested_by_id
    where r.requested_by_id = $2 and r.status <> 'draft'
    order by r.status = 'pending' desc, r.id desc limit 6
) union all (
    select r.id, r.number || ', ' || u.first_name || ' ' || u.last_name, r.status,
        r.company_id, r.requested_by_id::bigint
    from finance_expenserequest r join auth_user u on u.id = r.requested_by_id
    where r.company_id = $1 and r.requested_by_id <> $2 and r.status <> 'draft'
    order by r.status = 'pending' desc, r.id desc limit 5
) union all (
    select r.id, r.number || ', ' || u.first_name || ' ' || u.last_name || ', ' || c.name, r.status,
        r.company_id, r.requested_by_id::bigint
    from finance_expenserequest r
    join auth_user u on u.id = r.requested_by_id
    join core_company c on c.id = r.company_id
    where r.company_id <> $1 and r.status <> 'draft'
    order by r.status = 'pending' desc, r.id desc limit 4
);
