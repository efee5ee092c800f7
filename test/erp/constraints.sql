-- What Django adds after the tables: foreign keys that are checked at commit, unique pairs, and indexes.

alter table auth_user add constraint auth_user_company_id_3d0da8e0_fk_core_company_id
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table auth_user_groups add constraint auth_user_groups_user_id_6a12ed8b_fk_auth_user_id
    foreign key (user_id) references auth_user (id) deferrable initially deferred;
alter table auth_user_groups add constraint auth_user_groups_group_id_97559544_fk_auth_group_id
    foreign key (group_id) references auth_group (id) deferrable initially deferred;
alter table auth_user_groups add constraint auth_user_groups_user_id_group_id_94350c0c_uniq
    unique (user_id, group_id);
alter table finance_expenserequest add constraint finance_expenserequest_company_id_9643f837_fk_core_company_id
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table finance_expenserequest add constraint finance_expenserequest_requested_by_id_28bc0fe8_fk_auth_user_id
    foreign key (requested_by_id) references auth_user (id) deferrable initially deferred;
alter table finance_expenserequest add constraint finance_expenserequest_approved_by_id_cc655aed_fk_auth_user_id
    foreign key (approved_by_id) references auth_user (id) deferrable initially deferred;
alter table finance_advancerequest add constraint finance_advancerequest_company_id_d971eb26_fk_core_company_id
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table finance_advancerequest add constraint finance_advancerequest_requested_by_id_e16a1eab_fk_auth_user_id
    foreign key (requested_by_id) references auth_user (id) deferrable initially deferred;
alter table finance_advancerequest add constraint finance_advancerequest_approved_by_id_b83b0179_fk_auth_user_id
    foreign key (approved_by_id) references auth_user (id) deferrable initially deferred;
alter table hr_leaverequest add constraint hr_leaverequest_company_id_590105f1_fk_core_company_id
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table hr_leaverequest add constraint hr_leaverequest_requested_by_id_32307fab_fk_auth_user_id
    foreign key (requested_by_id) references auth_user (id) deferrable initially deferred;
alter table hr_leaverequest add constraint hr_leaverequest_approved_by_id_1584e857_fk_auth_user_id
    foreign key (approved_by_id) references auth_user (id) deferrable initially deferred;
alter table hr_policyapproval add constraint hr_policyapproval_company_id_419a669d_fk_core_company_id
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table hr_policyapproval add constraint hr_policyapproval_requested_by_id_1c051b34_fk_auth_user_id
    foreign key (requested_by_id) references auth_user (id) deferrable initially deferred;
alter table hr_policyapproval add constraint hr_policyapproval_approved_by_id_bff3d10b_fk_auth_user_id
    foreign key (approved_by_id) references auth_user (id) deferrable initially deferred;
alter table inventory_warehouse add constraint inventory_warehouse_company_id_11f28604_fk_core_company_id
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table inventory_warehouse_staff add constraint inventory_wareh_warehouse_id_4db5e79f_fk_inventory_warehouse
    foreign key (warehouse_id) references inventory_warehouse (id) deferrable initially deferred;
alter table inventory_warehouse_staff add constraint inventory_warehouse_staff_user_id_d6be451f_fk_auth_user_id
    foreign key (user_id) references auth_user (id) deferrable initially deferred;
alter table inventory_warehouse_staff add constraint inventory_warehouse_staff_warehouse_id_user_id_3d1728ce_uniq
    unique (warehouse_id, user_id);
alter table inventory_stocklevel add constraint inventory_stocklevel_company_id_1879c808_fk_core_company_id
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table inventory_stocklevel add constraint inventory_stocklevel_sku_id_67ff3442_fk_inventory_sku_id
    foreign key (sku_id) references inventory_sku (id) deferrable initially deferred;
alter table inventory_stocklevel add constraint inventory_stock_warehouse_id_9f55a8ac_fk_inventory_warehouse
    foreign key (warehouse_id) references inventory_warehouse (id) deferrable initially deferred;
alter table inventory_stocklevel add constraint inventory_stocklevel_sku_id_warehouse_id_9b898802_uniq
    unique (sku_id, warehouse_id);
alter table inventory_stockmovement add constraint inventory_stoc_stock_level_id_2e504e39_fk_inventory_stocklevel
    foreign key (stock_level_id) references inventory_stocklevel (id) deferrable initially deferred;
alter table inventory_stockmovement add constraint inventory_stockmovement_user_id_9fe5f98d_fk_auth_user_id
    foreign key (user_id) references auth_user (id) deferrable initially deferred;
alter table inventory_transferrequest add constraint inventory_transfer_company_id_42eaf3c5_fk_core_company
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table inventory_transferrequest add constraint inventory_transferre_requested_by_id_74ce3e56_fk_auth_user
    foreign key (requested_by_id) references auth_user (id) deferrable initially deferred;
alter table inventory_transferrequest add constraint inventory_transferre_approved_by_id_95c417f9_fk_auth_user
    foreign key (approved_by_id) references auth_user (id) deferrable initially deferred;
alter table inventory_transferrequest add constraint inventory_transferrequest_sku_id_49b263df_fk_inventory_sku_id
    foreign key (sku_id) references inventory_sku (id) deferrable initially deferred;
alter table inventory_transferrequest add constraint inventory_trans_from_warehouse__9b049a57_fk_inventory_warehouse
    foreign key (from_warehouse_id) references inventory_warehouse (id) deferrable initially deferred;
alter table inventory_transferrequest add constraint inventory_trans_to_warehouse_id_df4145db_fk_inventory_warehouse
    foreign key (to_warehouse_id) references inventory_warehouse (id) deferrable initially deferred;
alter table inventory_physicalcount add constraint inventory_physicalcount_company_id_0e700dc1_fk_core_company_id
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table inventory_physicalcount add constraint inventory_physicalco_requested_by_id_c8b1dd18_fk_auth_user
    foreign key (requested_by_id) references auth_user (id) deferrable initially deferred;
alter table inventory_physicalcount add constraint inventory_physicalcount_approved_by_id_ea626df1_fk_auth_user_id
    foreign key (approved_by_id) references auth_user (id) deferrable initially deferred;
alter table inventory_physicalcount add constraint inventory_physicalcount_sku_id_31665b3d_fk_inventory_sku_id
    foreign key (sku_id) references inventory_sku (id) deferrable initially deferred;
alter table inventory_physicalcount add constraint inventory_physi_warehouse_id_f33bf1f7_fk_inventory_warehouse
    foreign key (warehouse_id) references inventory_warehouse (id) deferrable initially deferred;
alter table procurement_purchaseorder add constraint procurement_purcha_company_id_5670134d_fk_core_company
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table procurement_purchaseorder add constraint procurement_purchase_requested_by_id_a0a6927c_fk_auth_user
    foreign key (requested_by_id) references auth_user (id) deferrable initially deferred;
alter table procurement_purchaseorder add constraint procurement_purchase_approved_by_id_7f1dd0c2_fk_auth_user
    foreign key (approved_by_id) references auth_user (id) deferrable initially deferred;
alter table procurement_purchaseorder add constraint procurement_pur_warehouse_id_dad83760_fk_inventory_warehouse
    foreign key (warehouse_id) references inventory_warehouse (id) deferrable initially deferred;
alter table procurement_purchaseorderline add constraint procurement_pu_purchase_order_0e4fa865_fk_procurement_purchaseo
    foreign key (purchase_order_id) references procurement_purchaseorder (id) deferrable initially deferred;
alter table procurement_purchaseorderline add constraint procurement_purcha_sku_id_387d73e8_fk_inventory_sku
    foreign key (sku_id) references inventory_sku (id) deferrable initially deferred;
alter table assets_asset add constraint assets_asset_company_id_681456e5_fk_core_company_id
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table assets_asset add constraint assets_asset_assigned_to_id_79cd9dd3_fk_auth_user_id
    foreign key (assigned_to_id) references auth_user (id) deferrable initially deferred;
alter table grants_grant add constraint grants_grant_company_id_9530fcb7_fk_core_company_id
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table grants_grant add constraint grants_grant_manager_id_b2fbeadc_fk_auth_user_id
    foreign key (manager_id) references auth_user (id) deferrable initially deferred;
alter table grants_disbursement add constraint grants_disbursement_company_id_c6d8691b_fk_core_company_id
    foreign key (company_id) references core_company (id) deferrable initially deferred;
alter table grants_disbursement add constraint grants_disbursement_requested_by_id_cf1c8553_fk_auth_user_id
    foreign key (requested_by_id) references auth_user (id) deferrable initially deferred;
alter table grants_disbursement add constraint grants_disbursement_approved_by_id_a379c70d_fk_auth_user_id
    foreign key (approved_by_id) references auth_user (id) deferrable initially deferred;
alter table grants_disbursement add constraint grants_disbursement_grant_id_e8dde8c3_fk_grants_grant_id
    foreign key (grant_id) references grants_grant (id) deferrable initially deferred;
alter table notifications_notification add constraint notifications_notification_user_id_b5e8c0ff_fk_auth_user_id
    foreign key (user_id) references auth_user (id) deferrable initially deferred;

create index core_company_name_230c8031_like on core_company (name varchar_pattern_ops);
create index auth_group_name_a6ea08ec_like on auth_group (name varchar_pattern_ops);
create index auth_user_username_6821ab7c_like on auth_user (username varchar_pattern_ops);
create index auth_user_company_id_3d0da8e0 on auth_user (company_id);
create index auth_user_groups_user_id_6a12ed8b on auth_user_groups (user_id);
create index auth_user_groups_group_id_97559544 on auth_user_groups (group_id);
create index finance_expenserequest_number_9c174b3b_like on finance_expenserequest (number varchar_pattern_ops);
create index finance_expenserequest_company_id_9643f837 on finance_expenserequest (company_id);
create index finance_expenserequest_requested_by_id_28bc0fe8 on finance_expenserequest (requested_by_id);
create index finance_expenserequest_approved_by_id_cc655aed on finance_expenserequest (approved_by_id);
create index finance_expenserequest_status_6ffc06ac on finance_expenserequest (status);
create index finance_advancerequest_number_2ea5d6cf_like on finance_advancerequest (number varchar_pattern_ops);
create index finance_advancerequest_company_id_d971eb26 on finance_advancerequest (company_id);
create index finance_advancerequest_requested_by_id_e16a1eab on finance_advancerequest (requested_by_id);
create index finance_advancerequest_approved_by_id_b83b0179 on finance_advancerequest (approved_by_id);
create index finance_advancerequest_status_56d8f0d2 on finance_advancerequest (status);
create index hr_leaverequest_number_0490bdb4_like on hr_leaverequest (number varchar_pattern_ops);
create index hr_leaverequest_company_id_590105f1 on hr_leaverequest (company_id);
create index hr_leaverequest_requested_by_id_32307fab on hr_leaverequest (requested_by_id);
create index hr_leaverequest_approved_by_id_1584e857 on hr_leaverequest (approved_by_id);
create index hr_leaverequest_status_30543dd3 on hr_leaverequest (status);
create index hr_policyapproval_number_da64521f_like on hr_policyapproval (number varchar_pattern_ops);
create index hr_policyapproval_company_id_419a669d on hr_policyapproval (company_id);
create index hr_policyapproval_requested_by_id_1c051b34 on hr_policyapproval (requested_by_id);
create index hr_policyapproval_approved_by_id_bff3d10b on hr_policyapproval (approved_by_id);
create index hr_policyapproval_status_2c83657b on hr_policyapproval (status);
create index inventory_warehouse_company_id_11f28604 on inventory_warehouse (company_id);
create index inventory_warehouse_code_ad40093e_like on inventory_warehouse (code varchar_pattern_ops);
create index inventory_warehouse_staff_warehouse_id_4db5e79f on inventory_warehouse_staff (warehouse_id);
create index inventory_warehouse_staff_user_id_d6be451f on inventory_warehouse_staff (user_id);
create index inventory_sku_code_127c8859_like on inventory_sku (code varchar_pattern_ops);
create index inventory_stocklevel_company_id_1879c808 on inventory_stocklevel (company_id);
create index inventory_stocklevel_sku_id_67ff3442 on inventory_stocklevel (sku_id);
create index inventory_stocklevel_warehouse_id_9f55a8ac on inventory_stocklevel (warehouse_id);
create index inventory_stockmovement_stock_level_id_2e504e39 on inventory_stockmovement (stock_level_id);
create index inventory_stockmovement_user_id_9fe5f98d on inventory_stockmovement (user_id);
create index inventory_transferrequest_number_671bc7d0_like on inventory_transferrequest (number varchar_pattern_ops);
create index inventory_transferrequest_company_id_42eaf3c5 on inventory_transferrequest (company_id);
create index inventory_transferrequest_requested_by_id_74ce3e56
    on inventory_transferrequest (requested_by_id);
create index inventory_transferrequest_approved_by_id_95c417f9 on inventory_transferrequest (approved_by_id);
create index inventory_transferrequest_sku_id_49b263df on inventory_transferrequest (sku_id);
create index inventory_transferrequest_from_warehouse_id_9b049a57
    on inventory_transferrequest (from_warehouse_id);
create index inventory_transferrequest_to_warehouse_id_df4145db
    on inventory_transferrequest (to_warehouse_id);
create index inventory_transferrequest_status_a2c2e4f4 on inventory_transferrequest (status);
create index inventory_physicalcount_number_8fa93900_like on inventory_physicalcount (number varchar_pattern_ops);
create index inventory_physicalcount_company_id_0e700dc1 on inventory_physicalcount (company_id);
create index inventory_physicalcount_requested_by_id_c8b1dd18 on inventory_physicalcount (requested_by_id);
create index inventory_physicalcount_approved_by_id_ea626df1 on inventory_physicalcount (approved_by_id);
create index inventory_physicalcount_sku_id_31665b3d on inventory_physicalcount (sku_id);
create index inventory_physicalcount_warehouse_id_f33bf1f7 on inventory_physicalcount (warehouse_id);
create index inventory_physicalcount_status_3ae7132d on inventory_physicalcount (status);
create index procurement_purchaseorder_number_edeec7c6_like on procurement_purchaseorder (number varchar_pattern_ops);
create index procurement_purchaseorder_company_id_5670134d on procurement_purchaseorder (company_id);
create index procurement_purchaseorder_requested_by_id_a0a6927c
    on procurement_purchaseorder (requested_by_id);
create index procurement_purchaseorder_approved_by_id_7f1dd0c2 on procurement_purchaseorder (approved_by_id);
create index procurement_purchaseorder_warehouse_id_dad83760 on procurement_purchaseorder (warehouse_id);
create index procurement_purchaseorder_status_62de44fa on procurement_purchaseorder (status);
create index procurement_purchaseorderline_purchase_order_id_0e4fa865
    on procurement_purchaseorderline (purchase_order_id);
create index procurement_purchaseorderline_sku_id_387d73e8
    on procurement_purchaseorderline (sku_id);
create index assets_asset_tag_ba191a49_like on assets_asset (tag varchar_pattern_ops);
create index assets_asset_company_id_681456e5 on assets_asset (company_id);
create index assets_asset_assigned_to_id_79cd9dd3 on assets_asset (assigned_to_id);
create index assets_asset_status_617037a1 on assets_asset (status);
create index grants_grant_code_cb615c7c_like on grants_grant (code varchar_pattern_ops);
create index grants_grant_company_id_9530fcb7 on grants_grant (company_id);
create index grants_grant_manager_id_b2fbeadc on grants_grant (manager_id);
create index grants_grant_status_e8323ca2 on grants_grant (status);
create index grants_disbursement_number_21c528ad_like on grants_disbursement (number varchar_pattern_ops);
create index grants_disbursement_company_id_c6d8691b on grants_disbursement (company_id);
create index grants_disbursement_requested_by_id_cf1c8553 on grants_disbursement (requested_by_id);
create index grants_disbursement_approved_by_id_a379c70d on grants_disbursement (approved_by_id);
create index grants_disbursement_grant_id_e8dde8c3 on grants_disbursement (grant_id);
create index grants_disbursement_status_da0c2192 on grants_disbursement (status);
create index notifications_notification_user_id_b5e8c0ff on notifications_notification (user_id);
