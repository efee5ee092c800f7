-- Indexes as a foreign key and a list of the ERP's have them; and all is a plain role's, as an ERP's tables are: who is no
-- superuser pays for checks of rights. What follows in this session is that role's too.
create index on inventory_stocklevel (sku_id);
create index on inventory_stocklevel (warehouse_id, sku_id);
do $$ begin create role erp login; exception when duplicate_object then null; end $$;
grant usage, create on schema public to erp;
alter table inventory_stocklevel owner to erp;
set role erp;
