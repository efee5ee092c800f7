package source_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/source"
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
			// Busy from fewer transactions on than by default, so that a machine that is slow for other reasons gets there.
			o.Tempo = source.Tempo{From: 100, Until: 20}
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
	leader, _ := c.led(func(*witness) bool { return true })
	return leader
}

// pair waits until one of two nodes has the lock and the other follows.
func (c *crew) pair() (leader, follower *witness) {
	c.t.Helper()
	return c.led(func(other *witness) bool { return other.feed.Stats.Mode() == source.Following })
}

// led waits until a node has the lock, and is the only one or another is as it should be.
func (c *crew) led(ok func(other *witness) bool) (leader, other *witness) {
	c.t.Helper()
	c.nodes[0].await(c.t, func() bool {
		leader, other = nil, nil
		for _, w := range c.nodes {
			if w.feed.Stats.Leading.Load() {
				leader = w
			} else {
				other = w
			}
		}
		return leader != nil && (other == nil || ok(other))
	})
	return leader, other
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
func (e *ear) heard() int {
	e.t.Helper()
	return len(e.rung())
}

// rung lists the ids of transactions that have notified since the last call.
func (e *ear) rung() (list []string) {
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
			return list
		}
		if !strings.Contains(got.Payload, ":") { // no canary, and no leader's ring
			list = append(list, got.Payload)
		}
	}
}

// shut says who holds the door's lock, or waits for it, and since when they wait; no row when nobody does. In the server's
// words it is the same answer only as long as it is the same hold, or the same wait.
var shut = fmt.Sprintf(`select pid || ' ' || granted || coalesce(' ' || waitstart, '') from pg_locks
	where locktype = 'advisory' and mode = 'ExclusiveLock' and (granted or waitstart is not null) and objsubid = 1
	and database = (select oid from pg_database where datname = current_database())
	and (classid::int8 << 32 | objid::int8) = %d`, change.DoorKey("rowfeed", "items"))

// silent begins a transaction that writes a row wholly within one hold of the door's lock, or one wait for it. It returns its
// id, and which hold or wait that was. One in which the lock went, or came, may notify: on a busy machine that happens often,
// and says nothing; so it commits, and another one is begun.
func (c *crew) silent(conn *pgx.Conn, id int) (xid, hold string) {
	c.t.Helper()
	for limit := time.Now().Add(rig.Limit); time.Now().Before(limit); {
		// In one message: the server does it without waiting for us.
		all, err := conn.PgConn().Exec(context.Background(), fmt.Sprintf(`begin; %[1]s; update item set n = %[2]d where id = %[3]d;
			%[1]s; select pg_current_xact_id()`, shut, c.last[id].Add(1), id)).ReadAll()
		if err != nil {
			c.t.Fatal(err)
		}
		before, after := all[1].Rows, all[3].Rows
		if len(before) == 1 && len(after) == 1 && string(before[0][0]) == string(after[0][0]) {
			return string(all[4].Rows[0][0]), string(before[0][0])
		}
		exec(c.t, conn, "commit")
	}
	c.t.Fatal("the door is open")
	return "", ""
}

// silenced has so many transactions write and commit as silent says, and returns their ids and how many holds and waits
// that were.
func (c *crew) silenced(conn *pgx.Conn, id, transactions int) (xids []string, holds int) {
	c.t.Helper()
	seen := map[string]bool{}
	for range transactions {
		xid, hold := c.silent(conn, id)
		exec(c.t, conn, "commit")
		xids, seen[hold] = append(xids, xid), true
	}
	return xids, len(seen)
}

// wantSilent fails the test when one of the transactions has notified.
func (e *ear) wantSilent(xids []string) {
	e.t.Helper()
	rung := e.rung()
	n := 0
	for _, xid := range xids {
		if slices.Contains(rung, xid) {
			n++
		}
	}
	if n > 0 {
		e.t.Errorf("%d of %d transactions notified that were written while the door was shut", n, len(xids))
	}
}
