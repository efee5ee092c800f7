package source_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/test/fault"
	"nalar.internal/rowfeed/test/measure"
	"nalar.internal/rowfeed/test/rig"
)

// While changes come fast one of two nodes leads: commits don't notify, and both nodes have all of it. Afterwards commits
// notify again.
func TestBusyAndQuiet(t *testing.T) {
	t.Parallel()
	c := newCrew(t, rig.Prepare(t, table, channels("auto")), 2, nil)
	ear := c.listen()
	writer := c.Conn(t)
	c.write(writer, 100)
	c.settled()
	if n := ear.heard(); n != 1 {
		t.Fatalf("%d notifications of a change while quiet, want 1", n)
	}
	stop := c.burden(20)
	for begun := c.nodes[0].feed.Stats.Changes.Load(); c.nodes[0].feed.Stats.Changes.Load() < begun+60; {
		<-time.After(time.Millisecond)
	}
	stop()
	c.settled()
	quiet := measure.Quantile(c.nodes[0].times(), 0.99)
	if n := ear.heard(); n < 60 || c.nodes[0].feed.Stats.Led.Load()+c.nodes[1].feed.Stats.Led.Load() > 0 {
		t.Errorf("%d notifications of 60 changes at a rate that is not busy", n)
	}

	stop = c.burden(1000)
	leader, other := c.pair()
	ear.heard()
	leader.times()
	other.times()
	for begun := leader.feed.Stats.Changes.Load(); leader.feed.Stats.Changes.Load() < begun+1000; {
		<-time.After(time.Millisecond)
	}
	silent, _ := c.silenced(writer, 100, 100)
	ear.wantSilent(silent)
	busy, following := measure.Quantile(leader.times(), 0.99), measure.Quantile(other.times(), 0.99)
	if leader.feed.Stats.Rings.Load() == 0 {
		t.Error("nobody rings for the other")
	}
	stop()
	c.settled()
	for i, w := range c.nodes {
		w.awaitMode(t, source.Quiet)
		if n := w.feed.Stats.Missed.Load(); n > 0 {
			t.Errorf("node %d: %d notifications count as missed", i, n)
		}
	}
	ear.heard()
	c.write(writer, 100)
	c.settled()
	if n := ear.heard(); n != 1 {
		t.Errorf("%d notifications of a change when it is quiet again, want 1", n)
	}
	t.Logf("p99 from capture to the handler: %.1f ms quiet, %.1f ms busy, %.1f ms on the node that follows", quiet, busy, following)
}

// The leader's session is ended again and again while writers write; the other node takes over, or the same one comes back.
func TestLeaderTerminated(t *testing.T) {
	t.Parallel()
	c := newCrew(t, rig.Prepare(t, table, channels("auto")), 2, nil)
	stop := c.burden(800)
	conn := c.Conn(t)
	for range 20 {
		before := c.nodes[0].feed.Stats.Led.Load() + c.nodes[1].feed.Stats.Led.Load()
		c.leader()
		exec(t, conn, `select pg_terminate_backend(pid) from pg_stat_activity
			where datname = current_database() and application_name = 'rowfeed door items'`)
		c.nodes[0].await(t, func() bool {
			return c.nodes[0].feed.Stats.Led.Load()+c.nodes[1].feed.Stats.Led.Load() > before
		})
	}
	stop()
	c.settled()
}

// The leader's host falls silent without a word: the server ends its session, commits notify again, and the other node
// has all changes meanwhile.
func TestLeaderSilent(t *testing.T) {
	t.Parallel()
	r := rig.Prepare(t, table, channels("auto"))
	p := fault.New(t, fmt.Sprintf("127.0.0.1:%d", r.DB.Server.Port()))
	c := newCrew(t, r, 2, func(i int, o *source.Options) {
		if i == 0 {
			o.Connect = through(p, r)
			return
		}
		o.Tempo = source.Tempo{From: 1e9} // it never leads
	})
	stop := c.burden(800)
	if c.leader() != c.nodes[0] {
		t.Fatal("a node that never leads does")
	}
	c.nodes[1].awaitMode(t, source.Following)
	ear := c.listen()
	c.nodes[1].times()
	p.Silence(t)
	c.nodes[1].await(t, func() bool { return c.nodes[1].feed.Stats.Mode() == source.Quiet && ear.heard() > 0 })
	took := c.nodes[1].times()
	p.Resume(t)
	stop()
	c.settled()
	t.Logf("p99 of the other node while the leader was silent: %.0f ms, at most %.0f ms",
		measure.Quantile(took, 0.99), measure.Quantile(took, 1))
}

// through has connections go by a proxy.
func through(p *fault.Proxy, r *rig.Rig) func(context.Context) (*pgx.Conn, error) {
	return func(ctx context.Context) (*pgx.Conn, error) {
		cfg, err := pgx.ParseConfig(strings.Replace(r.Config.Database.URL, fmt.Sprintf("127.0.0.1:%d", r.DB.Server.Port()), p.Addr(), 1))
		if err != nil {
			return nil, err
		}
		return pgx.ConnectConfig(ctx, cfg)
	}
}

// Transactions that are open across a switch: one that holds the lock, shared, keeps the leader from getting it, but no
// commit from being silent while the leader waits for it, which it does again and again; one that has kept silent is found
// when it commits, long after the channel is quiet.
func TestLongTransactions(t *testing.T) {
	t.Parallel()
	c := newCrew(t, rig.Prepare(t, table, channels("auto")), 1, nil)
	w := c.nodes[0]
	sharer, silent, writer := c.Conn(t), c.Conn(t), c.Conn(t)
	exec(t, sharer, `begin`)
	c.write(sharer, 98)
	stop := c.burden(800)
	w.awaitMode(t, source.Busy)
	ear := c.listen()
	quiet, waits := c.silenced(writer, 100, 40)
	ear.wantSilent(quiet)
	if waits < 2 {
		t.Errorf("the leader has waited %d times for its lock", waits)
	}
	if w.feed.Stats.Leading.Load() {
		t.Error("the leader has the lock that a transaction holds")
	}
	var xid string
	if err := sharer.QueryRow(context.Background(), `select pg_current_xact_id()::text`).Scan(&xid); err != nil {
		t.Fatal(err)
	}
	exec(t, sharer, `commit`)
	if !slices.Contains(ear.rung(), xid) {
		t.Error("a transaction that began while the channel was quiet has not notified")
	}
	c.leader()
	c.silent(silent, 99)
	stop()
	w.awaitMode(t, source.Lingering)
	w.await(t, func() bool { return !w.feed.Stats.Leading.Load() })
	ear.heard()
	for begun := time.Now(); time.Since(begun) < 3*time.Second; { // fast for a second, and then ten a second
		w.sweeps(t, 2)
	}
	if m := w.feed.Stats.Mode(); m != source.Lingering {
		t.Errorf("a transaction is open that has kept silent, and the channel is %v", m)
	}
	exec(t, silent, `commit`)
	c.settled()
	if n := ear.heard(); n != 0 {
		t.Errorf("the transaction has notified %d times", n)
	}
	w.awaitMode(t, source.Quiet)
	if n := w.feed.Stats.Missed.Load(); n > 0 {
		t.Errorf("%d notifications count as missed", n)
	}
}

// Any login can take an advisory lock. It is found, named, and changes are not left to the heartbeat.
func TestForeignHolder(t *testing.T) {
	t.Parallel()
	c := newCrew(t, rig.Prepare(t, table, channels("auto")), 1, nil)
	w := c.nodes[0]
	stranger, writer := c.Conn(t), c.Conn(t)
	exec(t, stranger, `set application_name = 'rowfeed door items'`)
	exec(t, stranger, fmt.Sprintf(`select pg_advisory_lock(%d)`, change.DoorKey("rowfeed", "items")))
	w.await(t, func() bool { return w.feed.Stats.Foreign() != nil })
	if h := w.feed.Stats.Foreign(); h.PID != int(stranger.PgConn().PID()) || h.Role != "postgres" {
		t.Errorf("found %+v", h)
	}
	w.awaitMode(t, source.Silenced)
	ear := c.listen()
	w.times()
	for range 10 {
		c.write(writer, 90)
		c.settled()
	}
	if n := ear.heard(); n != 0 {
		t.Errorf("%d notifications", n)
	}
	late := measure.Median(w.times())
	exec(t, stranger, `select pg_advisory_unlock_all()`)
	w.awaitMode(t, source.Quiet)
	if w.feed.Stats.Foreign() != nil || w.feed.Stats.Missed.Load() > 0 {
		t.Errorf("foreign %v, %d missed", w.feed.Stats.Foreign(), w.feed.Stats.Missed.Load())
	}
	if late > 500 {
		t.Errorf("the median change came after %.0f ms", late)
	}
	t.Logf("median %.0f ms while a stranger holds the lock", late)
}
