-- The stock levels that a user may see: those of the own warehouses, and all of the company's for purchasing.
-- $1 company, $2 groups, $3 warehouses.
select l.id, s.code as sku, s.name, l.warehouse_id, w.name as warehouse, l.quantity, l.reorder_level,
    l.updated_at as changed_at
from inventory_stocklevel l
join inventory_sku s on s.id = l.sku_id
join inventory_warehouse w on w.id = l.warehouse_id
where l.company_id = $1 and (l.warehouse_id = any ($3::bigint[]) or 'purchasing' = any ($2::text[]))
order by l.id;
