-- What is changed: a table that everybody watches, and one whose rows are each somebody's.
create table inventory_stocklevel (
    id            integer primary key,
    sku_id        integer not null,
    warehouse_id  integer not null,
    quantity      integer not null,
    reorder_level integer not null,
    updated_at    timestamptz not null default now()
);
create table task (
    id          integer primary key,
    assigned_to integer not null,
    title       varchar(80) not null,
    status      varchar(20) not null,
    step        integer not null
);
