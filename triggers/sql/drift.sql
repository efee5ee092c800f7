-- How each watched table stood when a node last looked, so that a gap is told once, by whichever node finds it first, and
-- also where no node ran meanwhile. Only the function note reads and writes it.
create table {{.S}}.drift (
  relation text not null primary key,
  state    text not null,
  thread   text not null,
  seen     pg_snapshot not null,
  since    timestamptz not null default pg_catalog.clock_timestamp()
);
