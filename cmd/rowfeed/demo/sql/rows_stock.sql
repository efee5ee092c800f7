-- Stock levels to try an UPDATE on: some of the clerk's warehouses, and some of others. $1 the clerk's warehouses, those
-- included that were taken away for a while.
(
    select l.id, s.name || ', ' || w.name as label, l.quantity::text as value, l.company_id, l.warehouse_id
    from inventory_stocklevel l
    join inventory_sku s on s.id = l.sku_id
    join inventory_warehouse w on w.id = l.warehouse_id
    where l.warehouse_id = any ($1::bigint[])
    order by l.quantity <= l.reorder_level, l.sku_id, l.id limit 8
) union all (
    select l.id, s.name || ', ' || w.name, l.quantity::text, l.company_id, l.warehouse_id
    from inventory_stocklevel l
    join inventory_sku s on s.id = l.sku_id
    join inventory_warehouse w on w.id = l.warehouse_id
    where l.warehouse_id <> all ($1::bigint[])
    order by l.sku_id, l.id limit 6
);
