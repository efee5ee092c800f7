-- What of the catalog capture depends on, in short: a row for each wanted table, and row 0 for rowfeed's schema. thread
-- changes with all that may have left a gap in what is captured, were it for a moment; shape with all that is inspected.
-- All tables are put together at once: table by table, each would cost what all of them do.
-- Parameters: rowfeed's schema; schemas and names of the tables; our triggers' names; the captured columns with the
-- number of their table, from 1.
with recursive root as (
  select w.n, c.oid, pg_catalog.concat_ws(' ', c.oid, c.relkind, c.relpersistence, c.relowner, c.relispartition) as line
    from rows from (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[])) with ordinality w(schema, name, n)
    join pg_catalog.pg_namespace s on s.nspname = w.schema
    join pg_catalog.pg_class c on c.relnamespace = s.oid and c.relname = w.name
   where c.relkind in ('r', 'p', 'v', 'm', 'f')
), member as (
  select n, oid from root
  union
  select m.n, i.inhrelid from member m join pg_catalog.pg_inherits i on i.inhparent = m.oid where not i.inhdetachpending
), key as (
  select r.n, u.attnum
    from root r join pg_catalog.pg_index x on x.indrelid = r.oid and x.indisunique
    cross join lateral pg_catalog.unnest(x.indkey::pg_catalog.int2[]) u(attnum)
   where x.indisprimary
), thread as (
  select n, pg_catalog.concat_ws(' ', 'member', oid) as line from member
  union all
  select m.n, pg_catalog.concat_ws(' ', 'trigger', t.oid, t.xmin, p.oid, p.xmin)
    from member m join pg_catalog.pg_trigger t on t.tgrelid = m.oid and t.tgname in ($4, $5)
    join pg_catalog.pg_proc p on p.oid = t.tgfoid
  union all
  select r.n, pg_catalog.concat_ws(' ', 'column', a.attnum, a.xmin)
    from root r join pg_catalog.pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
   where exists (select from rows from (pg_catalog.unnest($6::int[]), pg_catalog.unnest($7::text[])) w(n, name)
                  where w.n = r.n and w.name = a.attname)
      or exists (select from key k where k.n = r.n and k.attnum = a.attnum)
), shape as (
  select n, line from root
  union all
  select m.n, pg_catalog.concat_ws(' ', c.oid, c.relname, c.relnamespace, c.relkind, c.relpersistence, c.relowner)
    from member m join pg_catalog.pg_class c on c.oid = m.oid
  union all
  select r.n, pg_catalog.concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated)
    from root r join pg_catalog.pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  union all
  select r.n, pg_catalog.concat_ws(' ', x.indexrelid, x.xmin, x.indkey)
    from root r join pg_catalog.pg_index x on x.indrelid = r.oid and x.indisunique
  union all
  select r.n, pg_catalog.concat_ws(' ', 'of', i.inhparent) from root r join pg_catalog.pg_inherits i on i.inhrelid = r.oid
  union all
  select 0, pg_catalog.concat_ws(' ', s.oid, s.nspowner, s.nspacl) from pg_catalog.pg_namespace s where s.nspname = $1
  union all
  select 0, pg_catalog.concat_ws(' ', p.oid, p.xmin) from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace s on s.oid = p.pronamespace where s.nspname = $1
  union all
  select 0, pg_catalog.concat_ws(' ', c.oid, c.relname, c.relowner, c.relacl) from pg_catalog.pg_class c
    join pg_catalog.pg_namespace s on s.oid = c.relnamespace where s.nspname = $1 and c.relkind in ('r', 'v', 'S')
), threads as materialized (
  select n, pg_catalog.string_agg(line, E'\n' order by line collate "C") as lines from thread group by n
), shapes as materialized (
  select n, pg_catalog.string_agg(line, E'\n' order by line collate "C") as lines from shape group by n
)
select w.n::int, pg_catalog.md5(coalesce(t.lines, '')), pg_catalog.md5(coalesce(s.lines, '')), pg_catalog.pg_current_snapshot()::text
  from pg_catalog.generate_series(0, pg_catalog.cardinality($2::text[])) w(n)
  left join threads t on t.n = w.n
  left join shapes s on s.n = w.n
 order by w.n
