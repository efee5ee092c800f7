-- The role that the ERP's application connects as: it works with the rows and owns nothing. Roles belong to the server,
-- so another database, or one being filled at the same time, may have made it.
do $$
begin
    create role erp login;
exception when duplicate_object or unique_violation then
    null;
end
$$;

grant usage on schema public to erp;
grant select, insert, update, delete on
    core_company, auth_group, auth_user, auth_user_groups, finance_expenserequest, finance_advancerequest,
    hr_leaverequest, hr_policyapproval, inventory_warehouse, inventory_warehouse_staff, inventory_sku,
    inventory_stocklevel, inventory_stockmovement, inventory_transferrequest, inventory_physicalcount,
    procurement_purchaseorder, procurement_purchaseorderline, assets_asset, grants_grant, grants_disbursement,
    notifications_notification
    to erp;
grant usage, select on sequence
    core_company_id_seq, auth_group_id_seq, auth_user_id_seq, auth_user_groups_id_seq,
    finance_expenserequest_id_seq, finance_advancerequest_id_seq, hr_leaverequest_id_seq, hr_policyapproval_id_seq,
    inventory_warehouse_id_seq, inventory_warehouse_staff_id_seq, inventory_sku_id_seq,
    inventory_stocklevel_id_seq, inventory_stockmovement_id_seq, inventory_transferrequest_id_seq,
    inventory_physicalcount_id_seq, procurement_purchaseorder_id_seq, procurement_purchaseorderline_id_seq,
    assets_asset_id_seq, grants_grant_id_seq, grants_disbursement_id_seq, notifications_notification_id_seq
    to erp;
