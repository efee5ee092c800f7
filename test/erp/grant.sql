-- %[1]s is the role that rowfeed serves as.
grant select (id, company_id, first_name, last_name, is_active) on auth_user to %[1]s;
grant select on auth_group, auth_user_groups, inventory_warehouse_staff to %[1]s;
