-- Whether the owner of the capture functions can write to a table of the outbox, as those do it.
--
-- It says that it is immutable, which it is not, so that a plan holds its answer: PostgreSQL makes a plan anew when a
-- table that it names was altered, renamed or dropped, or changed hands or rights.
begin
  return has_table_privilege(p_table, 'insert')
     and exists (select from pg_class c where c.oid = p_table and c.relkind = 'r' and c.relchecks = 0 and not c.relrowsecurity
                    and has_schema_privilege(c.relnamespace, 'usage'))
     and not exists (select from pg_trigger t where t.tgrelid = p_table)
     and not exists (select from pg_rewrite r where r.ev_class = p_table)
     and not exists (select from pg_index i where i.indrelid = p_table
                        and (i.indisunique or i.indisexclusion or i.indexprs is not null or i.indpred is not null))
     and (select string_agg(concat_ws(' ', a.attname, y.typname, nullif(a.atttypmod, -1),
                   case when a.attnotnull then 'not null' end, nullif(a.attidentity, ''), nullif(a.attgenerated, '')),
                   ', ' order by a.attnum)
            from pg_attribute a join pg_type y on y.oid = a.atttypid
           where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped)
       = concat_ws(', ', 'xid xid8 not null', 'lsn pg_lsn not null', 'at timestamptz not null', 'capture int4 not null',
           'channel int2 not null', 'depth int2 not null', 'op char not null', 'old _text', 'new _text');
end
