create role rowfeed login;
create table counter (id int primary key, n int not null);
insert into counter select id, 0 from generate_series(1, 200) id;
create table notification (id int generated always as identity primary key, user_id int not null, kind text not null,
  message text not null, link text not null, read_at timestamptz);
create table expense_request (id int primary key, status text not null);
insert into expense_request select id, 'pending' from generate_series(1, 30) id;
