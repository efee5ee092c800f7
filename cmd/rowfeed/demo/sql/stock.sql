-- The stock levels that a user may see: those of the own warehouses, and all of the company's for purchasing.
-- $1 company, $2 user.
select l.id, s.code as sku, s.name, l.warehouse_id, w.name as warehouse, l.quantity, l.reorder_level,
    l.updated_at as changed_at
from inventory_stocklevel l
join inventory_sku s on s.id = l.sku_id
join inventory_warehouse w on w.id = l.warehouse_id
where l.company_id = $1 and (
    exists (select from inventory_warehouse_staff s where s.warehouse_id = l.warehouse_id and s.user_id = $2)
    or exists (select from auth_user_groups ug join auth_group g on g.id = ug.group_id
        where ug.user_id = $2 and g.name = 'purchasing'))
order by l.id;
