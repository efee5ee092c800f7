-- Indexes as a foreign key and a list of the ERP's have them.
create index on inventory_stocklevel (sku_id);
create index on inventory_stocklevel (warehouse_id, sku_id);
