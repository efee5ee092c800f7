package triggers

import (
	"context"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// wants makes one of pairs of a table and a column.
func wants(pairs ...string) []change.Want {
	var list []change.Want
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, want(pairs[i], pairs[i+1]))
	}
	return list
}

// TestHeldTableStopsNoOther: a table that is locked is put off; the others are done, and stopping says what is left.
func TestHeldTableStopsNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t, `create table a (id int primary key, x text); create table b (id int primary key, x text);
		create table c (id int primary key, x text)`, wants("a", "x", "b", "x", "c", "x")...)
	holder := b.db.Connect(t)
	run1(t, holder, "set application_name = 'payroll'; begin; insert into b values (1, 'secret')")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var lines []string
	err := Up(ctx, b.db.Connect(t), b.target, func(line string) {
		lines = append(lines, line)
		if strings.Contains(line, "try 3") {
			cancel()
		}
	})
	said := strings.Join(lines, "\n")
	if err == nil || !strings.Contains(err.Error(), "not done: watch public.b: run `rowfeed migrate up` again") {
		t.Fatalf("up: %v", err)
	}
	for _, says := range []string{"watch public.a", "watch public.c", "watch public.b: locked", "user postgres", "application payroll",
		"idle in transaction", "since 20"} {
		if !strings.Contains(said, says) {
			t.Errorf("%q is not in %s", says, said)
		}
	}
	if strings.Contains(said, "secret") || strings.Contains(said, "insert") {
		t.Errorf("it tells what the holder does: %s", said)
	}
	for _, st := range b.inspect().Status() {
		if (st.State == Installed) == (st.Table == "public.b") {
			t.Errorf("status %+v", st)
		}
	}
	run1(t, holder, "rollback")
	if lines := b.up(); len(lines) != 1 {
		t.Errorf("the next up did %q", lines)
	}
}

// TestOneTableAtATime: no step locks two tables of the ERP, but for a table with its partitions.
func TestOneTableAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t, ordersDDL+`create table export_orders (port text, primary key (id)) inherits (orders);
		create table days (id int, day date, a text, primary key (id, day)) partition by range (day);
		create table days_25 partition of days for values from ('2025-01-01') to ('2026-01-01');
		create table days_26 partition of days for values from ('2026-01-01') to ('2027-01-01');`,
		wants("orders", "status", "days", "a")...)
	check := func(when string, steps []Step) {
		t.Helper()
		if len(steps) == 0 {
			t.Errorf("%s: nothing to do", when)
		}
		for _, step := range steps {
			tables := map[string]bool{}
			for _, st := range step.Statements {
				if st.Lock != nil && (!strings.Contains(step.What, "days") || !strings.Contains(st.Lock.Table, "days")) {
					tables[st.Lock.Table] = true
				}
			}
			if len(tables) > 1 {
				t.Errorf("%s: %s locks %v", when, step.What, tables)
			}
		}
	}
	check("up", b.inspect().Plan())
	b.up()
	b.exec("create table days_27 partition of days for values from ('2027-01-01') to ('2028-01-01'); alter table days_25 disable trigger all")
	steps := b.inspect().Plan()
	check("new partitions", steps)
	for _, step := range steps {
		if strings.Contains(step.SQL, `"days" `) {
			t.Errorf("%s locks the parent: %s", step.What, step.SQL)
		}
	}
	b.up()
	if s := b.inspect(); !s.Clean() {
		t.Errorf("status %+v", s.Status())
	}
}

// TestRenamedThings: status says what a column, a table or a trigger is probably called now; a trigger of ours by another
// name goes, for it would capture everything twice.
func TestRenamedThings(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	says := func(what string) {
		t.Helper()
		all := strings.Join(b.inspect().Drifted(), "\n")
		for _, st := range b.inspect().Status() {
			all += strings.Join(st.Problems, "\n")
		}
		if !strings.Contains(all, what) {
			t.Errorf("%q is not in %s", what, all)
		}
	}
	b.exec("alter table orders drop column note; alter table orders rename status to phase")
	says("column status was probably renamed to phase")
	b.exec("alter table orders rename phase to status; alter table orders rename to invoices")
	says("its triggers are on public.invoices")
	b.exec("alter table invoices rename to orders; alter trigger " + ident(b.target.rowTrigger()) + " on orders rename to mine")
	says("rowfeed's by another name")
	b.up()
	b.expect("insert into orders (id, status) values (1, 'a')", "i a,1")
	b.exec("alter table " + ident(b.target.Schema, "capture") + " owner to postgres; alter schema " + ident(b.target.Schema) +
		" owner to postgres")
	says("capture belongs to postgres")
	b.up()
	if s := b.inspect(); !s.Clean() || len(s.Off()) > 0 {
		t.Errorf("after up %+v %q", s.Status(), s.Off())
	}
	b.exec("drop index " + ident(b.target.Schema, "change_1_channel_xid"))
	says("index change_1_channel_xid is missing: run `rowfeed migrate down`")
}

// TestConfiguredKey: a table without a primary key is told apart by a unique key, if that holds at all times.
func TestConfiguredKey(t *testing.T) {
	t.Parallel()
	b := setup(t, `create table bills (tenant int not null, number text not null, note text, code int, ref int not null)`)
	keyed := func(columns ...string) {
		b.target.Wants = wants("bills", "note")
		b.target.Wants[0].Key = columns
	}
	refused := func(says string) {
		t.Helper()
		if err := b.inspect().Err(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	keyed()
	refused("name its columns in the rules' `key`")
	keyed("tenant", "number")
	refused(`create unique index concurrently on "public"."bills" ("tenant", "number");`)
	for index, says := range map[string]string{
		"create unique index i on bills (number, tenant) where tenant > 0":      "is partial",
		"alter table bills add constraint i unique (number, tenant) deferrable": "is deferrable",
		"create unique index i on bills (number, (tenant + 0))":                 "has no unique index of just these columns",
	} {
		b.exec(index)
		refused(says)
		b.exec("alter table bills drop constraint if exists i; drop index if exists i")
	}
	b.exec("create unique index on bills (number, tenant); create unique index nullable on bills (code)")
	keyed("code")
	refused("may be null")
	keyed()
	refused("write in its rules key: [number, tenant]")
	keyed("tenant", "gone")
	refused("there is no column gone")
	b.target.Wants = wants("bills", "note", "public.bills", "note")
	b.target.Wants[0].Key = []string{"tenant", "number"}
	refused("its rules name different keys")
	keyed("tenant", "number")
	b.up()
	b.expect("insert into bills values (1, 'A', 'n', 2, 3); update bills set number = 'B'", "i n,1,A", "u n,1,B < n,1,A")
	if got := b.one("select key::text from " + ident(b.target.Schema, "capture")); got != "{1,2}" {
		t.Errorf("key %s", got)
	}
	b.exec("create unique index ref on bills (ref)")
	keyed("ref")
	if got := b.status(); got.State != Outdated || !strings.Contains(got.Problems[0], "its key was (tenant, number) and is (ref)") &&
		!strings.Contains(got.Problems[0], "captures note") {
		t.Errorf("another key: %+v", got)
	}
	b.exec("drop index ref")
	if got := b.status(); got.State != Broken {
		t.Errorf("the index behind the key is gone: %+v", got)
	}
	keyed("tenant", "number")
	b.up()
}
