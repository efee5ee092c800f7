package source_test

import (
	"slices"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/test/pgtest"
)

// stop has captures stop, in sessions that are there too: their plans are made anew.
const stop = `select setval('rowfeed.open_until', 1); do $$ begin execute format('truncate rowfeed.change_%s',
	(select (floor(date_part('epoch', clock_timestamp()) / slot_seconds)::int8 + 1) % 3 from rowfeed.installation)); end $$`

// Captures had stopped under a feed that runs: when they go on it tells of a gap, and again for each transaction of then
// that ends. Between the two a place is none to resume from, and afterwards it is one.
func TestCapturesHadStopped(t *testing.T) {
	t.Parallel()
	// A server of its own: transactions in progress in other databases are some of then, too.
	d := newDirectOn(t, pgtest.NewIn(t, pgtest.NewServer(t, nil)), table, channels("auto"))
	box := source.NewOutbox(d.feed)
	t.Cleanup(func() { box.Close(t.Context()) })
	d.Exec(t, `update item set n = 1 where id = 1`)
	d.want(t, "1=1")
	d.Exec(t, `select rowfeed.tick()`)
	before := newestTick(t, d)
	d.Exec(t, stop)
	long := d.Conn(t)
	exec(t, long, `begin; update item set n = 2 where id = 2`)
	d.Exec(t, `update item set n = 3 where id = 3`)
	for range 3 {
		d.Exec(t, `select rowfeed.keep_open()`)
	}
	d.want(t, "lost: cursor_expired")
	d.Exec(t, `update item set n = 4 where id = 4`)
	d.want(t, "4=4")
	d.Exec(t, `select rowfeed.tick()`)
	between := newestTick(t, d)
	exec(t, long, `update item set n = 5 where id = 5; commit`)
	// A sweep of the current table alone may come first.
	if got := []string{d.next(t), d.next(t)}; !slices.Contains(got, "lost: cursor_expired") || !slices.Contains(got, "5=5") {
		t.Fatalf("want a gap and a change, got %q", got)
	}
	d.Exec(t, `select rowfeed.tick()`)
	after := newestTick(t, d)
	marks, err := box.Lookup(t.Context(), []change.Cursor{before, between, after})
	if err != nil {
		t.Fatal(err)
	}
	if marks[0] != nil || marks[1] != nil || marks[2] == nil {
		t.Errorf("places before, between, after: %v", marks)
	}
	d.sweeps(t, 2)
	d.cut(t)
	d.Exec(t, `update item set n = 6 where id = 6`)
	d.want(t, "6=6")
}

// newestTick is the cursor of the newest tick.
func newestTick(t *testing.T, d *direct) change.Cursor {
	t.Helper()
	c := change.Cursor{}
	if err := d.Conn(t).QueryRow(t.Context(), `select xid::text::bigint, new[2] from rowfeed.change where channel = 0 order by xid desc limit 1`).
		Scan(&c.Xid, &c.Nonce); err != nil {
		t.Fatal(err)
	}
	return c
}
