package triggers

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
)

func TestTick(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"),
		change.Want{Table: "orders", Channel: "two", Columns: []string{"note"}})
	schema := b.target.Schema
	seen := map[string]bool{}
	for range 3 {
		b.exec("begin; set local synchronous_commit = off; select " + ident(schema, "tick") + "()")
		if got := b.one("show synchronous_commit"); got != "on" {
			t.Errorf("synchronous_commit is %s after a tick", got)
		}
		snapshot := b.one("select pg_current_snapshot()::text")
		b.exec("commit")
		row := b.one(`select string_agg(format('%s %s %s %s', channel, capture, op, new[1]), ',' order by channel) || ' ' ||
			string_agg(distinct new[2], ',') from ` + ident(schema, "change") + ` where xid = (select xid from ` +
			ident(schema, "change") + ` order by xid desc limit 1)`)
		m := regexp.MustCompile(`^0 0 k (\d+:\d+:[\d,]*),1 0 k (\d+:\d+:[\d,]*),2 0 k \S+,3 0 k \S+ ([0-9a-f]{8})$`).FindStringSubmatch(row)
		if m == nil || m[1] != m[2] || seen[m[3]] {
			t.Fatalf("tick wrote %q (snapshot then %s)", row, snapshot)
		}
		seen[m[3]] = true
	}
}

// TestRotate fills each slot with rows of the past and asks for the next one to be emptied.
func TestRotate(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	schema := b.target.Schema
	rotate := func() string {
		t.Helper()
		return b.one("select " + ident(schema, "rotate") + "()::text")
	}
	if got := rotate(); got != "NULL" {
		t.Errorf("rotate with an empty ring: %s, want null", got)
	}
	fill := func(age time.Duration) {
		for slot := range slots {
			b.exec(fmt.Sprintf(`insert into %s (xid, lsn, at, capture, channel, depth, op)
				select (slot * 100 + i)::text::xid8, '0/1', clock_timestamp() - interval '%d s', 1, 1, 1, 'i'
				from generate_series(1, 10) i, (values (%d)) v (slot)`, ident(schema, fmt.Sprintf("change_%d", slot)),
				int(age.Seconds()), slot+1))
		}
	}
	fill(b.target.Retention / 2)
	if got := rotate(); got != "false" {
		t.Errorf("rotate of rows that are too young: %s, want false", got)
	}
	b.exec("truncate " + ident(schema, "change_0") + "," + ident(schema, "change_1") + "," + ident(schema, "change_2"))
	fill(2 * b.target.Retention)
	current := slotNow(b, 0)
	next := b.one("select ((floor(extract(epoch from clock_timestamp()) / 3600)::bigint + 1) % 3)::text")

	reader := b.db.Connect(t)
	run1(t, reader, "begin; select count(*) from "+ident(schema, "change_"+next))
	start := time.Now()
	if got := rotate(); got != "false" || time.Since(start) > 5*time.Second {
		t.Errorf("rotate while somebody reads: %s after %v, want false at once", got, time.Since(start))
	}
	run1(t, reader, "commit")
	if got := rotate(); got != "false" {
		t.Errorf("rotate without a tick that has seen the rows: %s, want false", got)
	}
	tickAt(b, 5*time.Second, "1000:1000:")
	if got := rotate(); got != "false" {
		t.Errorf("rotate with a tick that is five seconds old: %s, want false", got)
	}
	tickAt(b, 11*time.Second, "1000:1000:")
	if got := rotate(); got != "true" {
		t.Errorf("rotate: %s, want true", got)
	}
	b.exec("delete from " + ident(schema, "change_"+current) + " where op = 'k'")
	var slot int
	fmt.Sscan(next, &slot)
	if got, want := b.one("select horizon::text from "+ident(schema, "installation")), fmt.Sprint((slot+1)*100+10); got != want {
		t.Errorf("horizon %s, want %s", got, want)
	}
	if got := b.one("select count(*)::text from " + ident(schema, "change_"+next)); got != "0" {
		t.Errorf("%s rows are left in the slot", got)
	}
	if got := b.one("select count(*)::text from " + ident(schema, "change")); got != "20" {
		t.Errorf("%s rows are left in the ring, want 20", got)
	}
	if got := rotate(); got != "NULL" {
		t.Errorf("rotate again: %s, want null", got)
	}
	if got := b.one("select current_setting('lock_timeout')"); got != "0" {
		t.Errorf("rotate left lock_timeout at %s", got)
	}
}

// slotNow is the number of the current slot, or of one that many turns later.
func slotNow(b *bundle, later int) string {
	b.t.Helper()
	return b.one(fmt.Sprintf("select ((floor(extract(epoch from clock_timestamp()) / %d)::bigint + %d) %% 3)::text",
		b.target.slotSeconds(), later))
}

// tickAt writes a tick of the past, for rotate alone to find.
func tickAt(b *bundle, age time.Duration, snapshot string) {
	b.t.Helper()
	b.exec(fmt.Sprintf(`insert into %s (xid, lsn, at, capture, channel, depth, op, new) values
		(pg_current_xact_id(), '0/1', clock_timestamp() - interval '%d s', 0, 0, 0, 'k', array['%s', 'nonce'])`,
		ident(b.target.Schema, "change_"+slotNow(b, 0)), int(age.Seconds()), snapshot))
}

// TestRotateWaitsForLateCommits: a transaction was open for longer than the retention. What it wrote is old when it
// commits, and no node has read it: the slot stays until a tick has seen it that all of them have swept.
func TestRotateWaitsForLateCommits(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	schema := b.target.Schema
	next := ident(schema, "change_"+slotNow(b, 1))
	rotate := func(when, want string) {
		t.Helper()
		if got := b.one("select " + ident(schema, "rotate") + "()::text"); got != want {
			t.Errorf("rotate %s: %s, want %s", when, got, want)
		}
	}
	// As a tick writes it, eleven seconds ago.
	tick := func() {
		t.Helper()
		b.exec("select " + ident(schema, "tick") + "()")
		b.exec("update " + ident(schema, "change_"+slotNow(b, 0)) + " set at = at - interval '11 s' where op = 'k'")
	}
	// As a capture writes it, hours ago.
	capture := `insert into ` + next + ` (xid, lsn, at, capture, channel, depth, op)
		values (pg_current_xact_id(), '0/1', clock_timestamp() - interval '3 hours', 1, 1, 1, 'i')`
	late := b.db.Connect(t)
	run1(t, late, "begin; "+capture)
	xid := one(t, late, "select pg_current_xact_id()::text")
	rotate("of what nobody has committed", "NULL")
	b.exec(capture)
	rotate("without a tick", "false")
	tick()
	rotate("under a writer", "false")
	run1(t, late, "commit")
	rotate("when no tick has seen the late one", "false")
	if got := b.one("select (exists (select from pg_snapshot_xip(new[1]::pg_snapshot) x where x = '" + xid + "'))::text from " +
		ident(schema, "change") + " where channel = 0"); got != "true" {
		t.Errorf("the tick says that %s was not in progress", xid)
	}
	b.exec(capture)
	tick()
	rotate("when a tick has seen all", "true")
	if _, err := b.conn.Exec(t.Context(), "begin isolation level repeatable read; select "+ident(schema, "rotate")+"()",
		pgx.QueryExecModeSimpleProtocol); err == nil {
		t.Error("rotate in a transaction that does not see what others commit meanwhile: no error")
	}
	b.exec("rollback")
}

// TestAdoption: the rows were written in another history, and part of them has ids that are not given out yet here.
func TestAdoption(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	schema := b.target.Schema
	installation := func(column string) string {
		return b.one("select " + column + "::text from " + ident(schema, "installation"))
	}
	epoch := b.one("select " + ident(schema, "epoch") + "()")
	if got := installation("epoch"); got != epoch || installation("horizon") != "0" {
		t.Errorf("installed with epoch %s and horizon %s, want %s and 0", got, installation("horizon"), epoch)
	}
	b.exec("insert into orders values (1, 'a')")
	b.exec("select " + ident(schema, "tick") + "()")
	if got := installation("horizon"); got != "0" {
		t.Errorf("a tick of the same history set the horizon to %s", got)
	}
	b.exec("insert into " + ident(schema, "change_1") + ` (xid, lsn, at, capture, channel, depth, op)
		select (4e9::bigint + i)::text::xid8, '0/1', clock_timestamp(), 1, 1, 1, 'i' from generate_series(1, 100500) i`)
	b.exec("update " + ident(schema, "installation") + " set epoch = 'another', horizon = '5000000000'")

	writer, other := b.db.Connect(t), b.db.Connect(t)
	run1(t, writer, "begin; set lock_timeout = '1ms'; insert into orders values (2, 'b')")
	b.exec("select " + ident(schema, "tick") + "()")
	if got := installation("epoch"); got != "another" {
		t.Errorf("adopted while rows are left: %s", got)
	}
	b.exec("begin; select " + ident(schema, "tick") + "()")
	run1(t, writer, "insert into orders values (3, 'c'); commit") // waits for no tick
	run1(t, other, "set lock_timeout = '1ms'; insert into orders values (4, 'd')")
	b.exec("commit")
	horizon := installation("horizon")
	if got := installation("epoch"); got != epoch {
		t.Errorf("epoch %s, want %s", got, epoch)
	}
	if got := b.one("select count(*)::text from " + ident(schema, "change") + " where xid >= '4000000000'"); got != "0" {
		t.Errorf("%s rows are left that would seem to be new for ever", got)
	}
	if got := b.one(`select string_agg(new[2], ',' order by new[2]) from ` + ident(schema, "change") + ` where op = 'i'
		and new[2] in ('2', '3', '4') and xid > '` + horizon + `'`); got != "2,3,4" {
		t.Errorf("what committed after the adoption, and lies after the horizon: %s", got)
	}
	if got := b.one(`select (pg_snapshot_xmin(new[1]::pg_snapshot) > '` + horizon + `')::text from ` + ident(schema, "change") +
		` where channel = 1 and op = 'k' order by xid desc limit 1`); got != "true" || horizon == "5000000000" {
		t.Errorf("the tick that adopts lies after the horizon %s: %s", horizon, got)
	}
	b.exec("select " + ident(schema, "tick") + "()")
	if got := installation("horizon"); got != horizon {
		t.Errorf("later ticks moved the horizon from %s to %s", horizon, got)
	}
}

// TestUpgrade takes installations of the first version, which knew no epoch, of the second, which had no control channel,
// and of the third, whose captures never stopped, to the present one.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]string{
		"1": "drop function @.epoch(); alter table @.installation drop column epoch, drop column swept; ",
		"2": "",
		"3": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testUpgrade(t, name, back)
		})
	}
}

func testUpgrade(t *testing.T, from, back string) {
	b := setup(t, ordersDDL, want("orders", "status"))
	before := b.dump()
	_, b.target.RuntimeRole = b.login("")
	b.up()
	b.expect("insert into orders values (1, 'a')", "i a,1")
	schema := ident(b.target.Schema)
	b.exec(strings.ReplaceAll(back+"drop function @.keep_open(); drop function @.open_until(regclass); drop sequence @.open_until; "+
		"alter table @.installation drop column fence, drop column stopped, drop column open_until; delete from @.channel where name = '.control'; update @.installation set version = "+from, "@", schema))
	got := strings.Join(b.inspect().Drifted(), "\n")
	if !strings.Contains(got, "version "+from) || !strings.Contains(got, "channel .control is not installed") {
		t.Errorf("drifted: %s", got)
	}
	if strings.Contains(got, "epoch is missing") != (from == "1") {
		t.Errorf("drifted: %s", got)
	}
	b.up()
	if state := b.inspect(); len(state.Plan()) > 0 || len(state.Drifted()) > 0 {
		t.Errorf("after up: plan %+v, drifted %q", state.Plan(), state.Drifted())
	}
	if got := b.one("select (epoch = " + schema + ".epoch())::text || version || horizon from " + schema + ".installation"); got != "true40" {
		t.Errorf("epoch, version and horizon: %s", got)
	}
	b.expect("insert into orders values (2, 'a')", "i a,2")
	b.exec("select " + schema + ".tick()")
	b.down()
	if after := b.dump(); before != after {
		t.Errorf("the dump differs after down:\n%s", after)
	}
}

// TestRotateGivesWay: at the turn of a slot captures write the table that rotate waits for, because somebody reads it:
// they wait no longer than rotate does, which is a moment.
func TestRotateGivesWay(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	next := ident(b.target.Schema, "change_"+slotNow(b, 1))
	old := `insert into ` + next + ` (xid, lsn, at, capture, channel, depth, op)
		values ('5', '0/1', clock_timestamp() - interval '3 hours', 1, 1, 1, 'i')`
	b.exec(old)
	tickAt(b, 11*time.Second, "1000:1000:")
	reader, writer := b.db.Connect(t), b.db.Connect(t)
	run1(t, reader, "begin; select count(*) from "+next)
	run1(t, writer, "set lock_timeout = '2s'")
	stop, wrote := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			if _, err := writer.Exec(t.Context(), old); err != nil {
				wrote <- err
				return
			}
			select {
			case <-stop:
				wrote <- nil
				return
			default:
			}
		}
	}()
	for range 10 {
		if got := b.one("select " + ident(b.target.Schema, "rotate") + "()::text"); got != "false" {
			t.Errorf("rotate while somebody reads: %s, want false", got)
		}
	}
	close(stop)
	if err := <-wrote; err != nil {
		t.Errorf("a write: %v", err)
	}
	run1(t, reader, "commit")
	if got := b.one("select " + ident(b.target.Schema, "rotate") + "()::text"); got != "true" {
		t.Errorf("rotate when nobody reads: %s, want true", got)
	}
}
