create schema {{ident .Schema}} authorization {{ident .Owner}};
set local role {{ident .Owner}};
create table {{.S}}.installation (
  id           uuid not null primary key default pg_catalog.gen_random_uuid(),
  version      integer not null,
  slot_seconds integer not null check (slot_seconds >= 60),
  installed_at timestamptz not null default pg_catalog.clock_timestamp(),
  horizon      xid8 not null default '0',
  swept        pg_snapshot not null default '1:1:',
  epoch        text,
  fence        xid8 not null default '0',
  stopped      timestamptz,
  open_until   timestamptz
);
comment on column {{.S}}.installation.horizon is 'highest transaction id ever truncated away from the outbox';
comment on column {{.S}}.installation.swept is 'a snapshot that sees all that was truncated away';
comment on column {{.S}}.installation.epoch is 'the history that the outbox is of: a tick compares it with epoch()';
comment on column {{.S}}.installation.fence is 'captures had stopped: transactions up to this one may have left changes out';
comment on column {{.S}}.installation.stopped is 'since when captures have stopped, as long as that is to be told';
comment on column {{.S}}.installation.open_until is 'the sequence of that name, as a time';
create unique index installation_one on {{.S}}.installation ((true));
create sequence {{.S}}.open_until;
comment on sequence {{.S}}.open_until is 'seconds of the Unix epoch until which captures append to the outbox';
insert into {{.S}}.installation (version, slot_seconds, open_until)
  select {{.Version}}, {{.Slot}}, pg_catalog.to_timestamp(pg_catalog.setval({{.Sequence}}::pg_catalog.regclass, {{.Due}}));
create table {{.S}}.channel (
  id     smallint not null primary key check (id > 0),
  name   text not null unique,
  notify text not null unique
);
create table {{.S}}.capture (
  id           integer not null primary key check (id > 0),
  relation     text not null,
  columns      text[] not null,
  kinds        text[] not null,
  types        text[] not null,
  key          smallint[] not null,
  channels     smallint[] not null,
  hash         text not null,
  installed_at timestamptz not null default pg_catalog.clock_timestamp()
);
comment on table {{.S}}.capture is 'one row for each version of what is captured of a table: added to, never changed';
{{range .Slots}}create table {{$.S}}.change_{{.}} (
  xid     xid8 not null,
  lsn     pg_lsn not null,
  at      timestamptz not null,
  capture integer not null,
  channel smallint not null,
  depth   smallint not null,
  op      "char" not null,
  old     text[],
  new     text[]
);
create index change_{{.}}_channel_xid on {{$.S}}.change_{{.}} (channel, xid);
{{end}}create view {{.S}}.change as
{{range .Slots}}{{if .}} union all
{{end}}  select xid, lsn, at, capture, channel, depth, op, old, new from {{$.S}}.change_{{.}}{{end}};
reset role;
