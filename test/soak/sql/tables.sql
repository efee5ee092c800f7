-- What is watched, and beside each the record that a delivery is judged by, written in the same transaction.
create table item (
    id   integer primary key,
    n    integer not null,      -- version: grows by one with each committed change
    mark varchar(40) not null   -- of the attempt that wrote it: one that was rolled back never comes again
);
create table item_audit (
    item integer not null,
    n    integer not null,
    op   "char" not null,       -- u: written, d: deleted at that version
    mark varchar(40) not null,
    primary key (item, n, op)
);
-- The same for generated histories, each lane by itself.
create table step (
    id   integer primary key,
    lane integer not null,
    n    integer not null,
    pad  text not null
);
-- What another channel's subscribers see meanwhile.
create table pulse (
    id integer primary key,
    n  integer not null
);
insert into pulse select i, 0 from generate_series(1, 100) i;
-- What is one user's alone.
create table parcel (
    id    integer primary key,
    owner integer not null,
    n     integer not null,
    pad   text not null
);
-- What is partitioned.
create table day (
    id    integer,
    digit integer,
    n     integer not null,
    primary key (id, digit)
) partition by range (digit);
create table day_low partition of day for values from (0) to (5);
create table day_high partition of day for values from (5) to (10);
-- What grants are made of, where they come from the database.
create table team (
    id   integer primary key,
    name text not null
);
create table member (
    person integer not null,
    team   integer not null,
    primary key (person, team)
);
grant select on team, member to public;
