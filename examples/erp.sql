-- A small database to try rowfeed with: what the tables of a Django ERP look like, three people, two requests.
create table auth_user (
    id bigserial primary key,
    username text not null unique,
    first_name text not null,
    last_name text not null,
    is_active boolean not null default true
);
create table auth_group (
    id bigserial primary key,
    name text not null unique
);
create table auth_user_groups (
    id bigserial primary key,
    user_id bigint not null references auth_user,
    group_id bigint not null references auth_group,
    unique (user_id, group_id)
);
create table finance_expenserequest (
    id bigserial primary key,
    number text not null unique,
    status text not null default 'pending',
    amount numeric(14, 2) not null,
    requested_by_id bigint not null references auth_user,
    updated_at timestamptz not null default now()
);

insert into auth_user (id, username, first_name, last_name) values
    (1, 'siti', 'Siti', 'Rahma'),
    (2, 'budi', 'Budi', 'Santoso'),
    (3, 'dewi', 'Dewi', 'Lestari');
insert into auth_group (id, name) values (1, 'finance-approver');
insert into auth_user_groups (user_id, group_id) values (3, 1);
insert into finance_expenserequest (number, amount, requested_by_id) values
    ('EXP-0001', 125000.00, 1),
    ('EXP-0002', 84000.50, 2);

-- The bridge's own role: migrate gives it what it needs in the schema rowfeed; the rest are the configured queries.
create role rowfeed login;
grant select (id, first_name, last_name, is_active) on auth_user to rowfeed;
grant select on auth_group, auth_user_groups to rowfeed;
