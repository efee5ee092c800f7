-- A new expense request of the requester $1 of the company $2: what for $3, how much $4.
with fresh as (
    select nextval(pg_get_serial_sequence('finance_expenserequest', 'id')) as id
)
insert into finance_expenserequest (id, number, company_id, requested_by_id, category, description, amount, currency,
    status, created_at, updated_at)
select f.id, 'EXP-' || lpad(f.id::text, 4, '0'), c.id, $1, 'travel', $3, $4, c.currency, 'pending', now(), now()
from fresh f, core_company c
where c.id = $2
returning id, number;
