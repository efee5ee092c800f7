package source_test

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/test/rig"
)

// silent takes what a feed hands on and keeps nothing of it.
type silent struct{}

func (silent) Change(change.Place, *change.Change) {}
func (silent) Swept()                              {}
func (silent) Settled(string)                      {}
func (silent) Lost(string)                         {}

// outbox is one whose feed has been stopped, so that nobody else reads.
type outbox struct {
	*direct
	*source.Outbox
	connects atomic.Int64
	mark     change.Mark // of a tick before the changes
	slot     int         // where they are
}

// newOutbox fills the outbox with n changes of one transaction, between two ticks, without statistics of them.
func newOutbox(t *testing.T, n int) *outbox {
	t.Helper()
	r := rig.Prepare(t, table, channels("auto"))
	o := &outbox{direct: &direct{Rig: r, url: r.Config.Database.URL}}
	o.Outbox = source.NewOutbox(o.run(t))
	t.Cleanup(func() { o.Close(context.Background()) })
	o.Exec(t, `select rowfeed.tick()`)
	o.mark = o.newest(t)
	if err := o.Conn(t).QueryRow(context.Background(), `select floor(date_part('epoch', clock_timestamp()) / slot_seconds)::int8 % 3
		from rowfeed.installation`).Scan(&o.slot); err != nil {
		t.Fatal(err)
	}
	o.Exec(t, `update item set n = 1 where id = 1`)
	o.Exec(t, fmt.Sprintf(`alter table rowfeed.change_%d set (autovacuum_enabled = off)`, o.slot))
	conn := o.Conn(t) // of its own: what it reads is counted when it is gone
	exec(t, conn, `set application_name = 'rowfeed items'`)
	exec(t, conn, fmt.Sprintf(`insert into rowfeed.change_%d select pg_current_xact_id(), lsn + i, at, capture, channel, 0, op, old, new
		from rowfeed.change, generate_series(1, %d) i where op = 'u'`, o.slot, n))
	conn.Close(context.Background())
	o.Exec(t, `select rowfeed.tick()`)
	return o
}

// run has a feed begin, and stops it.
func (o *outbox) run(t *testing.T) *source.Feed {
	t.Helper()
	feed := source.New(source.Options{
		Connect: func(ctx context.Context) (*pgx.Conn, error) { o.connects.Add(1); return o.plain(ctx) },
		Schema:  "rowfeed", Channel: "items", Wake: "sweep", Handler: silent{}, Log: zap.NewNop(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- feed.Run(ctx) }()
	select {
	case <-feed.Started():
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	case <-time.After(3 * rig.Limit):
		t.Fatal("the feed does not start")
	}
	return feed
}

// newest is the newest tick.
func (o *outbox) newest(t *testing.T) change.Mark {
	t.Helper()
	m := change.Mark{Cursor: change.Cursor{Epoch: "a"}}
	var snapshot string
	err := o.once(t, `select xid::text::int8, new[1], new[2] from rowfeed.change where channel = 1 and op = 'k'
		order by xid desc limit 1`, &m.Cursor.Xid, &snapshot, &m.Cursor.Nonce)
	if err == nil {
		m.Snapshot, err = change.ParseSnapshot(snapshot)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// once asks on a connection of its own, whose counts are in when it is gone.
func (o *outbox) once(t *testing.T, sql string, into ...any) error {
	t.Helper()
	conn, err := o.plain(context.Background())
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	return conn.QueryRow(context.Background(), sql).Scan(into...)
}

// fetched returns how many rows of the outbox a function fetches: a backend has said so when it is gone.
func (o *outbox) fetched(t *testing.T, f func()) (n int) {
	t.Helper()
	conn := o.Conn(t)
	read := func() (n int) {
		backends := 1
		o.await(t, func() bool {
			err := conn.QueryRow(context.Background(), `select count(*) from pg_stat_activity where datname = current_database()
				and application_name = 'rowfeed items'`).Scan(&backends)
			return err != nil || backends == 0
		})
		// PostgreSQL 14 writes the counts to a file, each half second at the most. Newer versions have no time to say.
		var gone time.Time
		if err := conn.QueryRow(context.Background(), `select clock_timestamp()`).Scan(&gone); err != nil {
			t.Fatal(err)
		}
		counted := false
		o.await(t, func() bool {
			err := conn.QueryRow(context.Background(), `select coalesce(pg_stat_get_snapshot_timestamp() > $1, true)`, gone).Scan(&counted)
			return err != nil || counted
		})
		if err := conn.QueryRow(context.Background(), `select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))
			from pg_stat_user_tables where relname like 'change%'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := read()
	f()
	o.Close(context.Background())
	return read() - before
}

// However much there is, a question costs what it brings: the end of an outbox of many rows is not found by reading all,
// whatever the planner believes of a table that nobody has analyzed.
func TestOutboxIsNotReadWhole(t *testing.T) {
	t.Parallel()
	o := newOutbox(t, 300_000)
	ctx := context.Background()
	last := o.newest(t)
	o.Exec(t, `do $$ begin for i in 1..100 loop update item set n = i where id = 1; commit; end loop; end $$`)
	o.Exec(t, `select rowfeed.tick()`)
	now := o.newest(t)
	var busy uint64 // the transaction of many changes
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	check(o.once(t, fmt.Sprintf(`select max(xid::text::int8) from rowfeed.change where op = 'u' and xid < '%d'`, last.Cursor.Xid), &busy))
	for name, c := range map[string]struct {
		limit int
		do    func()
	}{
		"next": {3 * 4096, func() {
			if m, ok, err := o.Next(ctx, o.mark); err != nil || !ok || m.Cursor.Xid < last.Cursor.Xid {
				t.Errorf("next is %v, %v, %v", m, ok, err)
			}
		}},
		"look up": {10, func() {
			m, err := o.Lookup(ctx, []change.Cursor{{Xid: busy, Nonce: "x"},
				{Epoch: "a", Xid: last.Cursor.Xid, Nonce: last.Cursor.Nonce}})
			check(err)
			if len(m) != 2 || m[0] != nil || m[1] == nil {
				t.Errorf("found %v", m)
			}
		}},
		"look back": {100, func() {
			n := 0
			_, err := o.Older(ctx, now, now.Snapshot.Xmax, math.MaxInt64, 10, func(l []*change.Record) bool { n += len(l); return true })
			check(err)
			if n != 10 {
				t.Errorf("looked back at %d changes", n)
			}
		}},
		"begin": {150_000, func() { o.run(t) }},
	} {
		if n := o.fetched(t, c.do); n > c.limit {
			t.Errorf("%s: fetched %d rows", name, n)
		}
	}
}

// Looking back passes over ticks, and connects no more than once.
func TestOlderPassesOverTicks(t *testing.T) {
	t.Parallel()
	o := newOutbox(t, 1)
	for range 50 {
		o.Exec(t, `select rowfeed.tick()`)
	}
	o.Exec(t, `delete from rowfeed.capture`)
	before, n := o.connects.Load(), 0
	now := o.newest(t)
	count := func(l []*change.Record) bool { n += len(l); return true }
	if _, err := o.Older(context.Background(), now, now.Snapshot.Xmax, math.MaxInt64, 10, count); err != nil || n != 2 {
		t.Errorf("looked back at %d changes, %v", n, err)
	}
	if got := o.connects.Load() - before; got != 2 { // its own, and one to look for decoders
		t.Errorf("%d connections", got)
	}
}
