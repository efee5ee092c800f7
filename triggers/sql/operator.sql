-- What operators ask of the nodes, and what each has answered: for a few minutes. Only functions read and write it.
create table {{.S}}.request (
  id       uuid not null primary key default pg_catalog.gen_random_uuid(),
  kind     text not null,
  body     jsonb not null,
  asked_by text not null,
  at       timestamptz not null default pg_catalog.clock_timestamp()
);
create table {{.S}}.answer (
  request uuid not null references {{.S}}.request on delete cascade,
  node    text not null,
  body    jsonb not null,
  at      timestamptz not null default pg_catalog.clock_timestamp(),
  primary key (request, node)
);
