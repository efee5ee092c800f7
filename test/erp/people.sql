select u.id, u.company_id, u.first_name || ' ' || u.last_name,
       array(select g.name::text from auth_group g join auth_user_groups ug on ug.group_id = g.id
             where ug.user_id = u.id order by g.id),
       array(select s.warehouse_id from inventory_warehouse_staff s where s.user_id = u.id order by s.warehouse_id)
from auth_user u
where u.is_active
order by u.id
