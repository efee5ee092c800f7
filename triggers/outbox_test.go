package triggers

import (
	"fmt"
	"regexp"
	"testing"
	"time"

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
		m := regexp.MustCompile(`^1 0 k (\d+:\d+:[\d,]*),2 0 k (\d+:\d+:[\d,]*) ([0-9a-f]{8})$`).FindStringSubmatch(row)
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
	next := b.one("select ((floor(extract(epoch from clock_timestamp()) / 3600)::bigint + 1) % 3)::text")

	reader := b.db.Connect(t)
	run1(t, reader, "begin; select count(*) from "+ident(schema, "change_"+next))
	start := time.Now()
	if got := rotate(); got != "false" || time.Since(start) > 5*time.Second {
		t.Errorf("rotate while somebody reads: %s after %v, want false at once", got, time.Since(start))
	}
	run1(t, reader, "commit")
	if got := rotate(); got != "true" {
		t.Errorf("rotate: %s, want true", got)
	}
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
