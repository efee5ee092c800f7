package triggers

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/pgtest"
)

// dump is the schema with all rights and owners.
func (b *bundle) dump() string {
	b.t.Helper()
	return b.db.Dump(b.t)
}

func TestDownLeavesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, typesDDL+ordersDDL+`create table days (id int, day date, a text, primary key (id, day)) partition by range (day);
		create table days_26 partition of days for values from ('2026-01-01') to ('2027-01-01');
		create function f() returns trigger language plpgsql as $$ begin return null; end $$;
		create trigger "00_a" after insert on orders for each row execute function f();
		alter table orders enable always trigger "00_a"; grant select on orders to public;
		create index on orders (status); alter table orders enable row level security;
		create policy p on orders using (true); comment on table orders is 'o';`,
		want("orders", "status"), want("days", "a"))
	_, role := b.login("")
	b.target.RuntimeRole = role
	before := b.dump()
	b.up()
	b.exec(`insert into orders values (1, 'a'); insert into days values (1, '2026-01-01', 'a')`)
	if before == b.dump() {
		t.Fatal("up changed nothing in the dump")
	}
	lines := b.down()
	if after := b.dump(); before != after {
		t.Errorf("the dump differs after down:\n%s", after)
	}
	if got := b.one("select count(*)::text from pg_roles where rolname = " + literal(b.target.owner())); got != "0" {
		t.Errorf("the owner role is still there: %q", lines)
	}
	if lines := b.down(); len(lines) != 0 {
		t.Errorf("second down did %q", lines)
	}
	b.marker = "0/0"
	b.up()
	b.expect(`update orders set status = 'b'`, "u b,1 < a,1")
}

// TestDownSparesOthers: what somebody made to depend on the outbox is theirs to drop.
func TestDownSparesOthers(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	b.exec("create view mine as select * from " + ident(b.target.Schema, "change"))
	err := Down(t.Context(), b.conn, b.target.Schema, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "mine") {
		t.Errorf("down: %v, want a word about the view", err)
	}
	b.exec("drop view mine; create table " + ident(b.target.Schema, "theirs") + " (i int)")
	err = Down(t.Context(), b.conn, b.target.Schema, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "theirs") {
		t.Errorf("down: %v, want a word about the table", err)
	}
	b.exec("drop table " + ident(b.target.Schema, "theirs"))
	b.down()
}

// TestTwoDatabases share the owner role, which stays while one of them needs it.
func TestTwoDatabases(t *testing.T) {
	t.Parallel()
	one := installed(t, ordersDDL, want("orders", "status"))
	two := setup(t, ordersDDL, want("orders", "status"))
	two.target.Schema = one.target.Schema
	two.up()
	if lines := strings.Join(two.down(), "\n"); !strings.Contains(lines, "stays") {
		t.Errorf("down did not say that the role stays: %s", lines)
	}
	one.expect(`insert into orders values (1, 'a')`, "i a,1")
	if off := one.inspect().Off(); len(off) > 0 {
		t.Errorf("down in the other database: %q", off)
	}
	if lines := strings.Join(one.down(), "\n"); !strings.Contains(lines, "drop role") {
		t.Errorf("the last down did not drop the role: %s", lines)
	}
}

// TestSeveralAtOnce: five ups take turns, while the ERP writes.
func TestSeveralAtOnce(t *testing.T) {
	t.Parallel()
	ddl := ""
	b := setup(t, "")
	for i := range 8 {
		ddl += fmt.Sprintf("create table t%d (id bigserial primary key, a text);", i)
		b.target.Wants = append(b.target.Wants, want(fmt.Sprintf("t%d", i), "a"))
	}
	b.exec(ddl)
	ctx, stop := context.WithCancel(t.Context())
	var writers, ups sync.WaitGroup
	for i := range 4 {
		conn := b.db.Connect(t)
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				sql := fmt.Sprintf("begin; insert into t%d (a) values ('x'); update t%d set a = 'y' where id = %d; commit",
					(n+i)%8, (n+i+3)%8, n/8)
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					t.Errorf("a write failed: %v", err)
					return
				}
			}
		})
	}
	total := 0
	var mu sync.Mutex
	for range 5 {
		conn := b.db.Connect(t)
		ups.Go(func() {
			err := Up(t.Context(), conn, b.target, func(line string) {
				mu.Lock()
				defer mu.Unlock()
				if strings.Contains(line, " watch ") && !strings.Contains(line, "try") {
					total++
				}
			})
			if err != nil {
				t.Errorf("up: %v", err)
			}
		})
	}
	ups.Wait()
	stop()
	writers.Wait()
	if total != 8 {
		t.Errorf("8 tables were installed %d times", total)
	}
	if s := b.inspect(); !s.Clean() || len(s.Drifted()) > 0 {
		t.Errorf("status %+v %q", s.Status(), s.Drifted())
	}
}

// TestUpGivesWay: while a transaction holds the table, up lets the writes that queue behind it pass, and tries again.
func TestUpGivesWay(t *testing.T) {
	t.Parallel()
	b := setup(t, ordersDDL, want("orders", "status"))
	holder, writer := b.db.Connect(t), b.db.Connect(t)
	run1(t, holder, "begin; insert into orders values (1, 'held')")
	held, done := make(chan string, 100), make(chan error, 1)
	up := b.db.Connect(t)
	go func() { done <- Up(t.Context(), up, b.target, func(s string) { held <- s }) }()
	for line := range held {
		if strings.Contains(line, "try 2") {
			if !strings.Contains(line, "pid ") {
				t.Errorf("%q does not say who holds the table", line)
			}
			break
		}
	}
	start := time.Now()
	run1(t, writer, "insert into orders values (2, 'queued')")
	if d := time.Since(start); d > 4*time.Second {
		t.Errorf("a write waited %v", d)
	}
	run1(t, holder, "commit")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.expect("update orders set status = 'x' where id = 1", "u x,1 < held,1")
}

// TestUpStops when it is told to, and leaves no lock behind.
func TestUpStops(t *testing.T) {
	t.Parallel()
	b := setup(t, ordersDDL, want("orders", "status"))
	holder := b.db.Connect(t)
	run1(t, holder, "begin; insert into orders values (1, 'held')")
	ctx, cancel := context.WithCancel(t.Context())
	up := b.db.Connect(t)
	err := Up(ctx, up, b.target, func(line string) {
		if strings.Contains(line, "try 2") {
			cancel()
		}
	})
	if err == nil {
		t.Fatal("up finished while the table was held")
	}
	run1(t, holder, "commit")
	if lines := b.up(); len(lines) != 1 {
		t.Errorf("the next up did %q, want the table alone", lines)
	}
}

// TestWithoutSuperuser installs as the tables' owner, who may create roles and a schema, and runs as another.
func TestWithoutSuperuser(t *testing.T) {
	t.Parallel()
	b := setup(t, ordersDDL+`create table days (id int, day date, a text, primary key (id, day)) partition by range (day);
		create table days_26 partition of days for values from ('2026-01-01') to ('2027-01-01');`,
		want("orders", "status"), want("days", "a"))
	admin, role := b.login("")
	up := func(says string) {
		t.Helper()
		err := Up(t.Context(), admin, b.target, func(string) {})
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Fatalf("up: %v, want %q", err, says)
		}
	}
	up("may not create a schema: grant create on database")
	b.exec("grant create on database " + b.db.Name + " to " + role)
	up("may not create role")
	b.exec("alter role " + role + " createrole")
	up("only the owner may")
	b.exec(strings.ReplaceAll("alter table orders owner to @; alter table days owner to @; alter table days_26 owner to @",
		"@", role))
	b.target.RuntimeRole = "nobody_" + b.db.Name
	up("does not exist: create role")
	runtime, runtimeRole := b.login("")
	b.target.RuntimeRole = runtimeRole
	up("")
	if s, err := Inspect(t.Context(), admin, b.target); err != nil || len(s.Plan()) > 0 || len(s.Drifted()) > 0 {
		t.Errorf("after up: %v %+v", err, s.Plan())
	}
	b.expect("insert into orders values (1, 'a')", "i a,1")
	b.expect("set session_replication_role = replica; insert into days values (1, '2026-01-01', 'a');"+
		"reset session_replication_role", `i a,1,"2026-01-01"`)

	schema := ident(b.target.Schema)
	run1(t, runtime, strings.ReplaceAll(`select * from @.change; select * from @.change_0; select * from @.capture;
		select * from @.installation; select * from @.channel; select @.tick(); select @.rotate()`, "@", schema))
	if s, err := Inspect(t.Context(), runtime, b.target); err != nil || len(s.Drifted()) > 0 {
		t.Errorf("as the bridge: %v %q", err, s.Drifted())
	}
	for _, sql := range []string{"insert into @.change_0 select * from @.change_1", "delete from @.change_0",
		"update @.installation set version = 2", "select * from public.orders", "truncate @.change_0"} {
		if _, err := runtime.Exec(t.Context(), strings.ReplaceAll(sql, "@", schema)); sqlState(err) != noPrivilege {
			t.Errorf("the bridge's role: %s: %v, want permission denied", sql, err)
		}
	}
	b.exec("revoke select on " + ident(b.target.Schema, "change_1") + " from " + runtimeRole)
	if s, err := Inspect(t.Context(), admin, b.target); err != nil || len(s.Drifted()) != 1 {
		t.Errorf("a right that lacks: %v %q", err, s.Drifted())
	}
	up("")
	if err := Down(t.Context(), admin, b.target.Schema, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if got := b.one("select count(*)::text from pg_roles where rolname = " + literal(b.target.owner())); got != "0" {
		t.Error("the owner role is still there")
	}
}

func TestStandby(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, map[string]string{"hot_standby": "on"})
	b := setupIn(t, pgtest.NewIn(t, server), ordersDDL, want("orders", "status"))
	// A server that recovers without end from its own log is a standby as far as any client can tell.
	signal := filepath.Join(b.one("show data_directory"), "standby.signal")
	run1(t, b.conn, "copy (select 1) to "+literal(signal))
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := Inspect(t.Context(), b.db.Connect(t), b.target)
	if err != nil || s.Err() == nil || !strings.Contains(s.Err().Error(), "standby") {
		t.Errorf("on a standby: %v %v", err, s.Err())
	}
	b.conn = b.db.Connect(t)
	promote(t, b.conn)
}

// promote ends recovery, so that the test's database can be dropped.
func promote(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if got := one(t, conn, "select pg_promote(true, 30)::text"); got != "true" {
		t.Fatalf("promote: %s", got)
	}
}
