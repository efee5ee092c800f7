-- The tables of the sample ERP, as Django's migrations make them: their names, key types, constraints and indexes.

create table core_company (
    id bigserial primary key,
    name varchar(120) not null unique,
    currency varchar(3) not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table auth_group (
    id serial primary key,
    name varchar(150) not null unique
);

create table auth_user (
    id serial primary key,
    password varchar(128) not null,
    last_login timestamptz,
    is_superuser boolean not null,
    username varchar(150) not null unique,
    first_name varchar(150) not null,
    last_name varchar(150) not null,
    email varchar(254) not null,
    is_staff boolean not null,
    is_active boolean not null,
    date_joined timestamptz not null,
    company_id bigint not null
);

create table auth_user_groups (
    id serial primary key,
    user_id integer not null,
    group_id integer not null
);

create table finance_expenserequest (
    id bigserial primary key,
    number varchar(20) not null unique,
    company_id bigint not null,
    requested_by_id integer not null,
    approved_by_id integer,
    category varchar(40) not null,
    description text not null,
    amount numeric(14, 2) not null,
    currency varchar(3) not null,
    paid_at timestamptz,
    status varchar(20) not null,
    decided_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table finance_advancerequest (
    id bigserial primary key,
    number varchar(20) not null unique,
    company_id bigint not null,
    requested_by_id integer not null,
    approved_by_id integer,
    purpose text not null,
    amount numeric(14, 2) not null,
    outstanding numeric(14, 2) not null,
    currency varchar(3) not null,
    due_on date not null,
    paid_at timestamptz,
    status varchar(20) not null,
    decided_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table hr_leaverequest (
    id bigserial primary key,
    number varchar(20) not null unique,
    company_id bigint not null,
    requested_by_id integer not null,
    approved_by_id integer,
    kind varchar(20) not null,
    starts_on date not null,
    ends_on date not null,
    days numeric(4, 1) not null,
    reason text not null,
    status varchar(20) not null,
    decided_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table hr_policyapproval (
    id bigserial primary key,
    number varchar(20) not null unique,
    company_id bigint not null,
    requested_by_id integer not null,
    approved_by_id integer,
    title varchar(200) not null,
    version varchar(20) not null,
    body text not null,
    effective_on date not null,
    status varchar(20) not null,
    decided_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table inventory_warehouse (
    id bigserial primary key,
    company_id bigint not null,
    code varchar(20) not null unique,
    name varchar(120) not null,
    city varchar(80) not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table inventory_warehouse_staff (
    id bigserial primary key,
    warehouse_id bigint not null,
    user_id integer not null
);

create table inventory_sku (
    id bigserial primary key,
    code varchar(20) not null unique,
    name varchar(160) not null,
    unit varchar(10) not null,
    price numeric(14, 2) not null,
    is_active boolean not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table inventory_stocklevel (
    id bigserial primary key,
    company_id bigint not null,
    sku_id bigint not null,
    warehouse_id bigint not null,
    quantity integer not null check (quantity >= 0),
    reorder_level integer not null check (reorder_level >= 0),
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table inventory_stockmovement (
    id bigserial primary key,
    stock_level_id bigint not null,
    user_id integer,
    kind varchar(20) not null,
    delta integer not null,
    created_at timestamptz not null
);

create table inventory_transferrequest (
    id bigserial primary key,
    number varchar(20) not null unique,
    company_id bigint not null,
    requested_by_id integer not null,
    approved_by_id integer,
    sku_id bigint not null,
    from_warehouse_id bigint not null,
    to_warehouse_id bigint not null,
    quantity integer not null check (quantity >= 0),
    status varchar(20) not null,
    decided_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table inventory_physicalcount (
    id bigserial primary key,
    number varchar(20) not null unique,
    company_id bigint not null,
    requested_by_id integer not null,
    approved_by_id integer,
    sku_id bigint not null,
    warehouse_id bigint not null,
    expected integer not null check (expected >= 0),
    counted integer not null check (counted >= 0),
    status varchar(20) not null,
    decided_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table procurement_purchaseorder (
    id bigserial primary key,
    number varchar(20) not null unique,
    company_id bigint not null,
    requested_by_id integer not null,
    approved_by_id integer,
    supplier varchar(120) not null,
    warehouse_id bigint not null,
    amount numeric(14, 2) not null,
    currency varchar(3) not null,
    expected_on date not null,
    status varchar(20) not null,
    decided_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table procurement_purchaseorderline (
    id bigserial primary key,
    purchase_order_id bigint not null,
    sku_id bigint not null,
    quantity integer not null check (quantity >= 0),
    unit_price numeric(14, 2) not null
);

create table assets_asset (
    id bigserial primary key,
    tag varchar(20) not null unique,
    company_id bigint not null,
    name varchar(120) not null,
    serial_number varchar(60) not null,
    assigned_to_id integer,
    assigned_at timestamptz,
    status varchar(20) not null,
    purchase_price numeric(14, 2) not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table grants_grant (
    id bigserial primary key,
    code varchar(20) not null unique,
    company_id bigint not null,
    manager_id integer not null,
    title varchar(200) not null,
    donor varchar(120) not null,
    amount numeric(14, 2) not null,
    disbursed numeric(14, 2) not null,
    currency varchar(3) not null,
    status varchar(20) not null,
    starts_on date not null,
    ends_on date not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table grants_disbursement (
    id bigserial primary key,
    number varchar(20) not null unique,
    company_id bigint not null,
    requested_by_id integer not null,
    approved_by_id integer,
    grant_id bigint not null,
    amount numeric(14, 2) not null,
    currency varchar(3) not null,
    paid_at timestamptz,
    status varchar(20) not null,
    decided_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table notifications_notification (
    id bigserial primary key,
    user_id integer not null,
    kind varchar(40) not null,
    message varchar(300) not null,
    link varchar(200) not null,
    created_at timestamptz not null,
    read_at timestamptz
);
