-- %d rows of each.
with n as (select generate_series(1, %d) as id),
     stock as (insert into inventory_stocklevel select id, id + 1000, id %% 7, 0, 25 from n)
insert into task select id, id, 'Count shelf ' || id, 'open', 0 from n;
