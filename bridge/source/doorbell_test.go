package source_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/test/fault"
	"nalar.internal/rowfeed/test/measure"
	"nalar.internal/rowfeed/test/rig"
)

// witness is a node whose changes it checks: each row's versions come once each, in order.
type witness struct {
	*direct
	mu    sync.Mutex
	last  [101]int64
	took  []float64 // milliseconds from capture to arrival
	fault string
}

// Change implements source.Handler.
func (w *witness) Change(_ change.Place, c *change.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, _ := strconv.Atoi(string(c.New[0]))
	n, _ := strconv.ParseInt(string(c.New[c.Relation.Position("n")]), 10, 64)
	if n != w.last[id]+1 && w.fault == "" {
		w.fault = fmt.Sprintf("row %d: version %d came after %d", id, n, w.last[id])
	}
	w.last[id] = n
	w.took = append(w.took, float64(time.Since(c.At).Microseconds())/1000)
}

// Swept implements source.Handler.
func (w *witness) Swept() {}

// Settled implements source.Handler.
func (w *witness) Settled(string) {}

// Lost implements source.Handler.
func (w *witness) Lost(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = "lost: " + reason
}

// times returns how long changes took since the last call.
func (w *witness) times() []float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	took := w.took
	w.took = nil
	return took
}

// crew are nodes of one channel, and who writes, each rows of its own.
type crew struct {
	*rig.Rig
	t     *testing.T
	nodes []*witness
	last  [101]atomic.Int64 // written, by row
}

// newCrew runs so many nodes; tune may change what they are made of.
func newCrew(t *testing.T, r *rig.Rig, nodes int, tune func(int, *source.Options)) *crew {
	t.Helper()
	c := &crew{Rig: r, t: t}
	pool := r.DB.PoolAs(t, rig.Role)
	for i := range nodes {
		w := &witness{}
		w.direct = attach(t, r, func(o *source.Options) {
			o.Handler = w
			o.Notify = func(ctx context.Context, channel, payload string) error {
				_, err := source.Ring(ctx, pool, channel, payload)
				return err
			}
			if tune != nil {
				tune(i, o)
			}
		})
		c.nodes = append(c.nodes, w)
	}
	for _, w := range c.nodes {
		<-w.feed.Started()
		w.await(t, func() bool { return w.feed.Stats.Listening.Load() })
	}
	return c
}

// settled waits until all that was written is with every node, and checks it.
func (c *crew) settled() {
	c.t.Helper()
	for i, w := range c.nodes {
		w.await(c.t, func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			for id := range w.last {
				if w.last[id] < c.last[id].Load() {
					return w.fault != ""
				}
			}
			return true
		})
		w.mu.Lock()
		if w.fault != "" {
			c.t.Errorf("node %d: %s", i, w.fault)
		}
		w.mu.Unlock()
	}
}

// burden has writers make changes, each its own transaction, so many a second in all, until the returned function is
// called.
func (c *crew) burden(perSecond int) (stop func()) {
	const writers = 4
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for w := range writers {
		conn := c.Conn(c.t)
		all.Go(func() {
			tick := time.NewTicker(writers * time.Second / time.Duration(perSecond))
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				c.write(conn, 1+w*20+n%20) // rows above 80 are nobody's
			}
		})
	}
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); all.Wait() }) }
	c.t.Cleanup(stop)
	return stop
}

// write changes a row that no other writer does.
func (c *crew) write(conn *pgx.Conn, id int) {
	n := c.last[id].Add(1)
	if _, err := conn.Exec(context.Background(), `update item set n = $1 where id = $2`, n, id); err != nil {
		c.t.Errorf("write: %v", err)
	}
}

// leader waits for one that has the lock.
func (c *crew) leader() *witness {
	c.t.Helper()
	var found *witness
	c.nodes[0].await(c.t, func() bool {
		for _, w := range c.nodes {
			if w.feed.Stats.Leading.Load() {
				found = w
			}
		}
		return found != nil
	})
	return found
}

func (w *witness) awaitMode(t *testing.T, m source.Mode) {
	t.Helper()
	w.await(t, func() bool { return w.feed.Stats.Mode() == m })
}

// ear hears which commits notify.
type ear struct {
	t    *testing.T
	conn *pgx.Conn
}

func (c *crew) listen() *ear {
	e := &ear{c.t, c.Conn(c.t)}
	exec(c.t, e.conn, `listen "rowfeed:items"`)
	return e
}

// heard counts notifications of commits since the last call.
func (e *ear) heard() (n int) {
	e.t.Helper()
	exec(e.t, e.conn, `select pg_notify('rowfeed:items', 'end')`)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), rig.Limit)
		got, err := e.conn.WaitForNotification(ctx)
		cancel()
		if err != nil {
			e.t.Fatal(err)
		}
		if got.Payload == "end" {
			return n
		}
		if !strings.Contains(got.Payload, ":") { // no canary, and no leader's ring
			n++
		}
	}
}

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
	stop := c.burden(100)
	for begun := c.nodes[0].feed.Stats.Changes.Load(); c.nodes[0].feed.Stats.Changes.Load() < begun+300; {
		<-time.After(time.Millisecond)
	}
	stop()
	c.settled()
	quiet := measure.Quantile(c.nodes[0].times(), 0.99)
	if n := ear.heard(); n < 300 || c.nodes[0].feed.Stats.Led.Load()+c.nodes[1].feed.Stats.Led.Load() > 0 {
		t.Errorf("%d notifications of 300 changes at a rate that is not busy", n)
	}

	stop = c.burden(1000)
	leader := c.leader()
	other := c.nodes[0]
	if other == leader {
		other = c.nodes[1]
	}
	other.awaitMode(t, source.Following)
	ear.heard()
	leader.times()
	other.times()
	for begun := leader.feed.Stats.Changes.Load(); leader.feed.Stats.Changes.Load() < begun+1000; {
		<-time.After(time.Millisecond)
	}
	if n := ear.heard(); n > 100 {
		t.Errorf("%d notifications of commits while busy", n)
	}
	busy, following := measure.Quantile(leader.times(), 0.99), measure.Quantile(other.times(), 0.99)
	if other.feed.Stats.Leading.Load() || leader.feed.Stats.Rings.Load() == 0 {
		t.Error("both lead, or nobody rings for the other")
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

// Transactions that are open across a switch: one that holds the lock, shared, keeps the leader from getting it and commits
// from notifying no less; one that has kept silent is found when it commits, long after the channel is quiet.
func TestLongTransactions(t *testing.T) {
	t.Parallel()
	c := newCrew(t, rig.Prepare(t, table, channels("auto")), 1, nil)
	w := c.nodes[0]
	sharer, silent := c.Conn(t), c.Conn(t)
	exec(t, sharer, `begin`)
	c.write(sharer, 98)
	stop := c.burden(800)
	w.awaitMode(t, source.Busy)
	ear := c.listen()
	for begun := w.feed.Stats.Changes.Load(); w.feed.Stats.Changes.Load() < begun+1000; {
		<-time.After(time.Millisecond)
	}
	if n := ear.heard(); n > 700 { // in between two tries commits notify; on a busy machine that is longer
		t.Errorf("%d notifications of 1000 commits while the leader waits for its lock", n)
	}
	if w.feed.Stats.Leading.Load() {
		t.Error("the leader has the lock that a transaction holds")
	}
	exec(t, sharer, `commit`)
	c.leader()
	exec(t, silent, `begin`)
	c.write(silent, 99)
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
