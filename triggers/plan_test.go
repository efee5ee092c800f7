package triggers

import (
	"slices"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/test/pgtest"
)

func TestUpIsIdempotent(t *testing.T) {
	t.Parallel()
	b := setup(t, ordersDDL+`create table other (id int primary key, a text)`, want("orders", "status"), want("other", "a"))
	if got := b.inspect().Drifted(); len(got) != 1 || !strings.Contains(got[0], "migrate up") {
		t.Errorf("before up: drifted %q", got)
	}
	if lines := b.up(); len(lines) != 10 {
		t.Errorf("first up did %q", lines)
	}
	if lines := b.up(); len(lines) != 0 {
		t.Errorf("second up did %q", lines)
	}
	state := b.inspect()
	if steps := state.Plan(); len(steps) != 0 {
		t.Errorf("plan after up: %+v", steps)
	}
	if d := state.Drifted(); len(d) != 0 || !state.Clean() || len(state.Off()) != 0 {
		t.Errorf("after up: drifted %q, status %+v", d, state.Status())
	}
}

// TestPlanIsRunnable runs what plan prints, as a DBA would, and finds nothing left to do.
func TestPlanIsRunnable(t *testing.T) {
	t.Parallel()
	b := setup(t, ordersDDL, want("orders", "status"))
	for _, step := range b.inspect().Plan() {
		b.exec("begin;\n" + Preamble + step.SQL + "commit;")
		if step.Lock == "" || step.What == "" {
			t.Errorf("a step says too little: %+v", step)
		}
	}
	if lines := b.up(); len(lines) != 0 {
		t.Errorf("up after the plan did %q", lines)
	}
}

func TestStatusAndRepair(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	function := ident(b.target.Schema, functionName("public", "orders"))
	row, truncate := ident(b.target.rowTrigger()), ident(b.target.truncateTrigger())
	for _, c := range []struct{ damage, state, says string }{
		{"alter table orders disable trigger " + row, Disabled, "disabled"},
		{"alter table orders enable trigger " + row, Disabled, "disabled"},
		{"alter table orders enable replica trigger " + truncate, Disabled, "disabled"},
		{"alter table orders disable trigger all", Disabled, "disabled"},
		{"drop trigger " + row + " on orders", Missing, "missing"},
		{"drop trigger " + truncate + " on orders", Outdated, "missing"},
		{"drop trigger " + row + " on orders; create trigger " + row + " after insert on orders for each row execute function " +
			function + "()", Outdated, "outdated"},
		{"create or replace function " + function + `() returns trigger language plpgsql security definer as
			$$ begin return null; end $$`, Outdated, "by hand"},
		{"alter function " + function + "() security invoker", Outdated, "definer"},
		{"alter function " + function + "() owner to postgres", Outdated, "belongs to postgres"},
		{"alter function " + function + "() set TimeZone = 'UTC'", Outdated, "settings"},
		{"grant execute on function " + function + "() to public", Outdated, "everybody"},
		{"alter table orders drop constraint orders_pkey; alter table orders add primary key (id, status)", Outdated, "key"},
		{"drop table orders; " + ordersDDL, Missing, "missing"},
		{"alter table orders rename to orders_old; create table orders (like orders_old including all)", Missing, "missing"},
	} {
		b.exec(c.damage)
		state := b.inspect()
		got := state.Status()[0]
		if got.State != c.state || !strings.Contains(strings.Join(got.Problems, ";"), c.says) || len(state.Drifted()) == 0 {
			t.Errorf("%s: status %+v, drifted %q, want %s (%s)", c.damage, got, state.Drifted(), c.state, c.says)
		}
		if lines := b.up(); len(lines) == 0 {
			t.Errorf("%s: up did nothing", c.damage)
		}
		if got := b.inspect(); !got.Clean() || len(got.Drifted()) > 0 {
			t.Errorf("%s: after up %+v %q", c.damage, got.Status(), got.Drifted())
		}
	}
	b.exec("insert into orders values (7, 'a')")
	b.appended("after all repairs", "i a,7")
	if got := b.one("select count(*)::text from pg_trigger where tgrelid = 'orders_old'::regclass"); got != "0" {
		t.Errorf("the table that was swapped out has %s triggers", got)
	}
}

func TestUnwantedGo(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL+`create table other (id int primary key, a text)`, want("orders", "status"), want("other", "a"))
	b.target.Wants = b.target.Wants[:1]
	if got := b.inspect().Status(); len(got) != 2 || got[1].Table != "public.other" || got[1].State != Unwanted {
		t.Errorf("status %+v", got)
	}
	if lines := b.up(); len(lines) != 2 {
		t.Errorf("up did %q", lines)
	}
	b.expect(`insert into other values (1); truncate other; insert into orders values (1)`, "i NULL,1")
	if got := b.one("select count(*)::text from pg_proc where proname like 'capture_other%' and pronamespace = " +
		literal(b.target.Schema) + "::regnamespace"); got != "0" {
		t.Error("the function of the unwanted table is still there")
	}
	b.target.Wants = append(b.target.Wants, want("other", "a"))
	b.up()
	b.expect(`insert into other values (2)`, "i NULL,2")
}

func TestVersionsAreOnlyAdded(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	before := b.one("select row(c.*)::text from " + ident(b.target.Schema, "capture") + " c")
	b.target.Wants = []change.Want{want("orders", "status", "note")}
	b.up()
	b.expect(`insert into orders values (1, 'a', 2, 'n')`, "i a,n,1")
	b.target.Wants = []change.Want{want("orders", "status")}
	b.up()
	if got := b.one("select row(c.*)::text from " + ident(b.target.Schema, "capture") + " c where id = 1"); got != before {
		t.Errorf("version 1 was %s and is %s", before, got)
	}
	if got := b.one("select string_agg(id || columns::text, ' ' order by id) from " + ident(b.target.Schema, "capture")); got !=
		"1{status,id} 2{status,note,id}" {
		t.Errorf("versions %s", got)
	}
}

func TestRetentionChanges(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	b.target.Retention = 2 * time.Hour
	if got := b.inspect().Drifted(); len(got) != 2 {
		t.Errorf("drifted %q", got)
	}
	if lines := b.up(); len(lines) != 1 || lines[0] != "1/1 change the outbox's slots from 3600 to 7200 seconds" {
		t.Errorf("up did %q", lines)
	}
	if lines := b.up(); len(lines) != 0 {
		t.Errorf("second up did %q", lines)
	}
	b.exec(`insert into orders values (1, 'a')`)
	slot := b.one("select (floor(extract(epoch from at) / 7200)::bigint % 3)::text from " + ident(b.target.Schema, "change"))
	if got := b.one("select count(*)::text from " + ident(b.target.Schema, "change_"+slot)); got != "1" {
		t.Errorf("the row is not in slot %s", slot)
	}
}

func TestPartitions(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int, day date, status text, primary key (id, day)) partition by range (day);
		create table orders_25 partition of orders for values from ('2025-01-01') to ('2026-01-01');
		create table orders_26 partition of orders for values from ('2026-01-01') to ('2027-01-01') partition by list (id);
		create table orders_26_1 partition of orders_26 for values in (1);`, want("orders", "status"))
	if got := b.one(`select string_agg(distinct tgenabled::text, '') || count(*) from pg_trigger where tgname like '00_%'`); got != "A8" {
		t.Errorf("triggers enabled and their number: %s, want A8", got)
	}
	b.expect(`insert into orders values (1, '2025-02-01', 'a')`, `i a,1,"2025-02-01"`)
	b.expect(`update orders set day = '2026-02-01'`, `d < a,1,"2025-02-01"`, `i a,1,"2026-02-01"`)
	b.expect(`update orders_26_1 set status = 'b'`, `u b,1,"2026-02-01" < a,1,"2026-02-01"`)
	b.expect(`truncate orders_26_1`, "t")
	b.exec(`set session_replication_role = replica; insert into orders values (1, '2026-03-01', 'r');
		reset session_replication_role`)
	b.appended("as a replica", `i r,1,"2026-03-01"`)

	b.exec(`create table orders_27 partition of orders for values from ('2027-01-01') to ('2028-01-01');
		create table orders_24 (like orders including all);
		alter table orders attach partition orders_24 for values from ('2024-01-01') to ('2025-01-01')`)
	b.expect(`set session_replication_role = replica; insert into orders values (1, '2027-03-01', 'c'), (2, '2024-03-01', 'd');
		reset session_replication_role`, `i c,1,"2027-03-01"`, `i d,2,"2024-03-01"`)
	if got := b.status(); got.State != Outdated || len(got.Problems) != 2 {
		t.Errorf("two new partitions without a trigger for TRUNCATE: %+v", got)
	}
	b.up()
	b.expect(`truncate orders_27`, "t")
	b.exec(`alter table orders_24 disable trigger ` + ident(b.target.rowTrigger()))
	if got := b.status(); got.State != Disabled {
		t.Errorf("a partition's trigger is disabled: %+v", got)
	}
	b.up()
	b.exec(`alter table orders detach partition orders_24`)
	b.up()
	b.expect(`insert into orders_24 values (5, '2024-01-01'); truncate orders_24`)
	if got := b.status(); got.State != Installed {
		t.Errorf("status %+v", got)
	}
}

func TestInheritance(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL+`create table export_orders (port text, primary key (id)) inherits (orders)`,
		want("orders", "status"))
	b.expect(`insert into export_orders values (1, 'a'); update orders set status = 'b'; truncate only orders`,
		"i a,1", "u b,1 < a,1", "t")
	if got := b.status(); got.State != Installed {
		t.Errorf("status %+v", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	ddl := ordersDDL + `create view v as select * from orders; create materialized view m as select * from orders;
		create table nokey (a int); create table later (id int primary key deferrable, a int);
		create unlogged table fast (id int primary key); create foreign data wrapper w;
		create server s foreign data wrapper w; create foreign table far (id int) server s;
		create table parent (id int primary key) partition by list (id); create table part partition of parent default;
		create table mixed (id int) partition by list (id);
		create foreign table mixed_far partition of mixed default server s;
		create table taken (id int primary key); create function f() returns trigger language plpgsql as
			$$ begin return null; end $$;`
	db := pgtest.New(t)
	b := setupIn(t, db, ddl)
	b.exec(`create trigger ` + ident(b.target.rowTrigger()) + ` after insert on taken for each row execute function f()`)
	for table, c := range map[string]struct{ column, says string }{
		"v":                 {"id", "is a view"},
		"m":                 {"id", "materialized view"},
		"nokey":             {"a", "no primary key"},
		"later":             {"a", "deferrable"},
		"fast":              {"id", "unlogged"},
		"far":               {"id", "foreign table"},
		"mixed":             {"id", "foreign partition"},
		"taken":             {"id", "not rowfeed's"},
		"ordes":             {"id", "did you mean public.orders?"},
		"Orders":            {"id", "did you mean public.orders?"},
		"elsewhere.nothing": {"id", "no such table"},
		"orders":            {"stauts", "there is no column stauts: did you mean status?"},
		"a.b.c":             {"id", "write it as table or schema.table"},
	} {
		b.target.Wants = []change.Want{want(table, c.column)}
		err := b.inspect().Err()
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s.%s: %v, want %q", table, c.column, err, c.says)
		}
		if err := Up(t.Context(), b.conn, b.target, func(string) {}); err == nil {
			t.Errorf("%s: up did it", table)
		}
	}
	b.target.Wants = []change.Want{want("parent", "id"), want("part", "id"), want("ordes", "id")}
	if err := b.inspect().Err(); err == nil || !strings.Contains(err.Error(), "watch one of them") ||
		!strings.Contains(err.Error(), "ordes") {
		t.Errorf("all problems at once: %v", err)
	}
	if got := b.one("select count(*)::text from pg_namespace where nspname = " + literal(b.target.Schema)); got != "0" {
		t.Error("a refused up left something behind")
	}
	b.exec("create schema " + ident(b.target.Schema))
	b.target.Wants = []change.Want{want("orders", "id")}
	if err := b.inspect().Err(); err == nil || !strings.Contains(err.Error(), "is not rowfeed's") {
		t.Errorf("a foreign schema of our name: %v", err)
	}
	b.exec("drop schema " + ident(b.target.Schema))
}

// TestVirtualColumn: PostgreSQL 18 has generated columns that a trigger can't read; before, all are stored.
func TestVirtualColumn(t *testing.T) {
	t.Parallel()
	b := setup(t, `create table orders (id int primary key, a int, twice int generated always as (a * 2) stored)`,
		want("orders", "twice"))
	b.up()
	b.expect(`insert into orders values (1, 4)`, "i 8,1")
	if !b.db.Has(t, pgtest.VirtualColumns) {
		return
	}
	b.exec(`alter table orders add thrice int generated always as (a * 3) virtual`)
	b.target.Wants = []change.Want{want("orders", "thrice")}
	if err := b.inspect().Err(); err == nil || !strings.Contains(err.Error(), "virtual generated column") {
		t.Errorf("a virtual column: %v", err)
	}
}

// TestTemporary: a temporary table is in a schema of its session.
func TestTemporary(t *testing.T) {
	t.Parallel()
	b := setup(t, `create temporary table orders (id int primary key)`)
	b.target.Wants = []change.Want{want(b.one("select pg_my_temp_schema()::regnamespace::text")+".orders", "id")}
	if err := b.inspect().Err(); err == nil || !strings.Contains(err.Error(), "temporary") {
		t.Errorf("a temporary table: %v", err)
	}
}

func TestNames(t *testing.T) {
	for in, out := range map[string]string{"a": "public|a", "s.t": "s|t", `"s.x"."t""y"`: `s.x|t"y`, "A_b": "public|A_b", "größe": "public|größe"} {
		schema, name, err := change.SplitTable(in)
		if err != nil || schema+"|"+name != out {
			t.Errorf("%s: %s|%s %v", in, schema, name, err)
		}
	}
	for _, in := range []string{"", ".", "a.", `"a`, "a.b.c"} {
		if _, _, err := change.SplitTable(in); err == nil {
			t.Errorf("%q is taken for a table", in)
		}
	}
	long := strings.Repeat("é", 40)
	names := []string{functionName("public", "a"), functionName("public", "A"), functionName("b", "a"),
		functionName("public", long), functionName("public", long+"x")}
	for i, n := range names {
		if len(n) > nameLimit || slices.Contains(names[:i], n) {
			t.Errorf("function name %q is too long or taken", n)
		}
	}
}
