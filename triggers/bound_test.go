package triggers

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// past has the limit of captures be behind us, and sessions make their plans anew, as they do when a table is emptied.
func (b *bundle) past() {
	b.t.Helper()
	b.exec(strings.ReplaceAll("select setval('@.open_until', date_part('epoch', clock_timestamp())::bigint - 1); truncate @.change_"+
		slotNow(b, 1), "@", ident(b.target.Schema)))
}

// keepOpen asks n times, each by a statement of its own, and returns the last answer: open or not, told or not.
func (b *bundle) keepOpen(n int) (answer string) {
	b.t.Helper()
	for range n {
		answer = b.one("select concat_ws(' ', case when remaining > 0 then 'open' else 'stopped' end, case when stopped_at is not null " +
			"then 'to be told' end) from " + ident(b.target.Schema, "keep_open") + "()")
	}
	return answer
}

func (b *bundle) installation(column string) string {
	b.t.Helper()
	return b.one("select (" + column + ")::text from " + ident(b.target.Schema, "installation"))
}

// TestCapturesStop: nobody asks captures to go on. They stop, the ERP's writes don't; and go on when somebody asks, in
// sessions that were there all the time, with a snapshot of before too.
func TestCapturesStop(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	old, repeatable := b.db.Connect(t), b.db.Connect(t)
	run1(t, old, "insert into orders (id, status) values (1, 'a')")
	run1(t, repeatable, "insert into orders (id, status) values (2, 'a')")
	b.appended("open", "i a,1", "i a,2")
	run1(t, repeatable, "begin isolation level repeatable read; select * from orders")
	b.past()
	size := b.one("select count(*)::text from " + ident(b.target.Schema, "change"))
	run1(t, old, "update orders set status = 'b' where id = 1; insert into orders (id, status) select i, 'x' from generate_series(3, 50) i")
	run1(t, repeatable, "update orders set status = 'b' where id = 2")
	b.expect("delete from orders where id = 3")
	if got := b.one("select count(*)::text from " + ident(b.target.Schema, "change")); got != size {
		t.Errorf("the outbox grew from %s rows to %s", size, got)
	}
	left := one(t, repeatable, "select pg_current_xact_id()::text")
	for i, want := range []string{"stopped to be told", "open to be told", "open", "open"} {
		if got := b.keepOpen(1); got != want {
			t.Errorf("step %d: %q, want %q", i+1, got, want)
		}
	}
	run1(t, repeatable, "update orders set status = 'c' where id = 2; commit")
	b.appended("in a transaction of before", "u c,2 < b,2")
	run1(t, old, "update orders set status = 'c' where id = 1")
	b.appended("in a session of before", "u c,1 < b,1")
	if got := b.installation("fence > '" + left + "'"); got != "true" {
		t.Errorf("the fence is at %s, a transaction that left changes out at %s", b.installation("fence"), left)
	}
}

// TestKeepOpenSeldomWrites: once in a slot, and not in between.
func TestKeepOpenSeldomWrites(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	now := b.one("select floor(extract(epoch from clock_timestamp()) / 3600)::text")
	if got := b.one("select (last_value / 3600)::text || ' ' || last_value % 3600 from " + ident(b.target.Schema, "open_until")); got != plus(now, 5)+" 0" &&
		got != plus(now, 6)+" 0" {
		t.Errorf("after up captures go on until slot %s, and now is %s", got, now)
	}
	b.keepOpen(2)
	b.exec("begin")
	b.keepOpen(1)
	if got := b.one("select pg_current_xact_id_if_assigned()::text"); got != "NULL" {
		t.Error("it writes again in the same slot")
	}
	b.exec("commit")
	for _, off := range []string{"- 3600", "+ 500 * 3600", "- 2 * 3600"} { // a slot later, the clock was set back, it was set forth
		b.exec(fmt.Sprintf("select setval(%s, last_value %s) from %[3]s", literal(ident(b.target.Schema, "open_until")), off,
			ident(b.target.Schema, "open_until")))
		if got := b.keepOpen(2); got != "open" {
			t.Errorf("%s: %s", off, got)
		}
		if got := b.one("select round((last_value - extract(epoch from clock_timestamp())) / 3600 - 0.5)::text from " +
			ident(b.target.Schema, "open_until")); got != "4" {
			t.Errorf("%s: captures go on for %s whole slots", off, got)
		}
		if got := b.installation("fence"); got != "0" {
			t.Errorf("%s: the fence is at %s, though captures never stopped", off, got)
		}
	}
	if got := b.installation("extract(epoch from open_until) = (select last_value from " + ident(b.target.Schema, "open_until") + ")"); got != "true" {
		t.Error("the installation shows another time")
	}
	b.exec("begin isolation level repeatable read")
	if _, err := b.conn.Exec(t.Context(), "select "+ident(b.target.Schema, "keep_open")+"()"); err == nil {
		t.Error("it takes an old snapshot for the truth")
	}
	b.exec("rollback; begin; create table other ()")
	b.past()
	if b.keepOpen(3); b.installation("stopped") != "NULL" {
		t.Error("a step was done in a transaction that has written")
	}
	b.exec("rollback")
}

func plus(number string, n int) string {
	i, _ := strconv.Atoi(number)
	return strconv.Itoa(i + n)
}

// TestLimitIsPlannedAway: it is read when a plan is made, and plans are made anew when a table of the outbox is emptied.
func TestLimitIsPlannedAway(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	b.exec("set track_functions = 'pl'; insert into orders (id, status) values (1, 'a')")
	counted := func() int {
		n, _ := strconv.Atoi(b.one("select coalesce((select calls from pg_stat_xact_user_functions where schemaname = " +
			literal(b.target.Schema) + " and funcname = 'open_until'), 0)::text"))
		return n
	}
	calls := func() int {
		t.Helper()
		b.exec("begin")
		before := counted() // what is not yet with the server's statistics is in it
		for i := range 20 {
			b.exec(fmt.Sprintf("update orders set status = 's%d'", i))
		}
		n := counted()
		b.exec("commit")
		return n - before
	}
	calls()
	if got := calls(); got != 0 {
		t.Errorf("20 statements asked %d times", got)
	}
	b.keepOpen(3)
	if got := calls(); got != 0 {
		t.Errorf("asked %d times after keep_open, though no table was emptied", got)
	}
	b.exec("truncate " + ident(b.target.Schema, "change_"+slotNow(b, 1)))
	if got := calls(); got == 0 {
		t.Error("not asked after a table was emptied")
	}
	if got := calls(); got != 0 {
		t.Errorf("then asked %d times again", got)
	}
}

// TestKeepOpenGivesWay: somebody holds what keep_open writes. It waits no longer than a moment, and captures go on.
func TestKeepOpenGivesWay(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	holder := b.db.Connect(t)
	b.past()
	run1(t, holder, "begin; update "+ident(b.target.Schema, "installation")+" set version = version")
	b.exec("set statement_timeout = '30s'")
	if got := b.keepOpen(2); got != "stopped to be told" {
		t.Errorf("while it is held: %s", got)
	}
	b.expect("insert into orders (id, status) values (1, 'a')")
	run1(t, holder, "rollback")
	if got := b.keepOpen(3); got != "open" {
		t.Errorf("afterwards: %s", got)
	}
	run1(t, holder, "begin; lock table "+ident(b.target.Schema, "change_0")+", "+ident(b.target.Schema, "change_1")+", "+
		ident(b.target.Schema, "change_2")+" in share update exclusive mode") // as a vacuum that takes hours does
	b.exec(fmt.Sprintf("select setval(%s, last_value - 3600) from %s", literal(ident(b.target.Schema, "open_until")),
		ident(b.target.Schema, "open_until")))
	if got := b.keepOpen(2); got != "open" {
		t.Errorf("while the outbox is held: %s", got)
	}
	b.expect("insert into orders (id, status) values (2, 'a')", "i a,2")
	run1(t, holder, "rollback")
}

// TestLimitGone: the sequence is altered or dropped by hand. No write fails, and status says so.
func TestLimitGone(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	erp := b.db.Connect(t)
	run1(t, erp, "insert into orders (id, status) values (1, 'a')")
	b.appended("before", "i a,1")
	b.exec("alter sequence " + ident(b.target.Schema, "open_until") + " owner to postgres")
	run1(t, erp, "update orders set status = 'b'")
	if got := strings.Join(b.inspect().Off(), "\n"); !strings.Contains(got, "open_until belongs to postgres") {
		t.Errorf("status: %s", got)
	}
	b.up()
	b.changes()
	run1(t, erp, "update orders set status = 'c'")
	b.appended("mended", "u c,1 < b,1")
	b.past()
	b.exec("drop sequence " + ident(b.target.Schema, "open_until"))
	run1(t, erp, "update orders set status = 'd'")
	b.appended("dropped")
	if got := strings.Join(b.inspect().Off(), "\n"); !strings.Contains(got, "sequence open_until is missing") {
		t.Errorf("status: %s", got)
	}
}

// slot is the length of the slots of the next test.
const slot = 2 * time.Second

// hasten replaces the functions of an installation with a retention of a minute by ones with slots of two seconds.
func (b *bundle) hasten() {
	b.t.Helper()
	rows, err := b.conn.Query(b.t.Context(), "select pg_get_functiondef(p.oid) from pg_proc p join pg_namespace n on n.oid = p.pronamespace "+
		"where n.nspname = $1", b.target.Schema)
	if err != nil {
		b.t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range list {
		b.exec(strings.NewReplacer("operator(pg_catalog./) 60)", "operator(pg_catalog./) 2)", "operator(pg_catalog.*) 60", "operator(pg_catalog.*) 2",
			"'60 seconds'", "'2 seconds'", "'120 seconds'", "'4 seconds'", "'180 seconds'", "'6 seconds'", "secs => 60", "secs => 2",
			"secs => 10", "secs => 0").Replace(f))
	}
}

// TestRingTurnsAndStops lets six slots pass with somebody who turns the ring: each write is captured. Then nobody does:
// captures stop after four slots, before the sixth, and the outbox grows no more.
func TestRingTurnsAndStops(t *testing.T) {
	t.Parallel()
	b := setup(t, ordersDDL, want("orders", "status"))
	b.target.Retention = time.Minute
	b.up()
	b.hasten()
	schema := ident(b.target.Schema)
	erp := b.db.Connect(t)
	run1(t, erp, "insert into orders (id, status) values (1, 'a')")
	n := 0
	captured := func() bool {
		t.Helper()
		n++
		run1(t, erp, fmt.Sprintf("update orders set status = '%d'", n))
		return b.one(fmt.Sprintf("select count(*)::text from %s.change where op = 'u' and new[1] = '%d'", schema, n)) == "1"
	}
	seconds := func() float64 {
		t.Helper()
		var s float64
		if err := b.conn.QueryRow(t.Context(), "select extract(epoch from clock_timestamp())::float8").Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	began, last, truncated := seconds(), 0.0, 0
	for last < began+6*slot.Seconds() || truncated < 3 { // a busy machine does not come by in each
		b.exec("select " + schema + ".tick()")
		for range 2 {
			if b.one("select "+schema+".rotate()::text") == "true" {
				truncated++
			}
		}
		if last = seconds(); last > began+60*slot.Seconds() {
			t.Fatalf("the ring was emptied %d times in sixty slots", truncated)
		}
		if !captured() {
			t.Fatalf("not captured %.1f s after the start, with somebody who turns the ring", last-began)
		}
	}
	for now := seconds(); captured(); now = seconds() {
		if now > last+5*slot.Seconds()+1 {
			t.Fatalf("captured %.1f s after the last turn", now-last)
		}
	}
	if now := seconds(); now < last+4*slot.Seconds() {
		t.Errorf("captures stopped %.1f s after the last turn, want %.0f", now-last, 4*slot.Seconds())
	}
	rows := b.one("select count(*)::text from " + schema + ".change")
	for end := seconds() + slot.Seconds(); seconds() < end; {
		if captured() {
			t.Fatal("captured again, though nobody asked for it")
		}
	}
	if got := b.one("select count(*)::text from " + schema + ".change"); got != rows {
		t.Errorf("the outbox grew from %s rows to %s", rows, got)
	}
	if got := b.keepOpen(4); got != "open" || !captured() {
		t.Errorf("somebody asks for it: %s", got)
	}
}
