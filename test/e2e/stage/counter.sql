create role rowfeed login;
create table counter (id int primary key, n int not null);
insert into counter select id, 0 from generate_series(1, 200) id;
