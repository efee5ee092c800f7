//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/test/measure"
)

// brisk makes channels busy and quiet again sooner than the product does, and more often.
var brisk = source.Tempo{From: 80, Until: 30, Least: 50 * time.Millisecond}

const (
	modeRows    = 40
	modeWriters = 2
	lowRate     = 20  // changes a second of a channel that is to be quiet
	highRate    = 300 // and of one that is to be busy
	calmChanges = 60  // at the low rate, to time
)

// modeNode is one of two nodes of a channel. It judges what it is handed: the versions of each row come once each, in
// order.
type modeNode struct {
	feed *source.Feed

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	last  map[int]int
	wrong [2]int                    // lost; twice or out of order
	took  map[source.Mode][]float64 // milliseconds from capture to here
	told  int                       // gaps
}

// Change implements source.Handler.
func (n *modeNode) Change(_ change.Place, c *change.Change) {
	took := float64(time.Since(c.At).Microseconds()) / 1000
	if c.Op != change.Update {
		return
	}
	id, _ := strconv.Atoi(string(c.New[c.Relation.Position("id")]))
	at, _ := strconv.Atoi(string(c.New[c.Relation.Position("n")]))
	n.mu.Lock()
	defer n.mu.Unlock()
	switch last := n.last[id]; {
	case at > last+1:
		n.wrong[0] += at - last - 1
	case at <= last:
		n.wrong[1]++
	}
	n.last[id] = max(n.last[id], at)
	m := n.feed.Stats.Mode()
	n.took[m] = append(n.took[m], took)
}

// Swept implements source.Handler.
func (n *modeNode) Swept() {}

// Settled implements source.Handler.
func (n *modeNode) Settled(string) {}

// Lost implements source.Handler.
func (n *modeNode) Lost(string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told++
}

// times forgets what was timed, and returns it.
func (n *modeNode) times() map[source.Mode][]float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	took := n.took
	n.took = map[source.Mode][]float64{}
	return took
}

// cut ends all connections of the node as the kernel does when a process is killed.
func (n *modeNode) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.Close()
	}
	clear(n.conns)
}

func (n *modeNode) connect(ctx context.Context, s *stage) (*pgx.Conn, error) {
	cfg, err := s.feedConfig(database)
	if err != nil {
		return nil, err
	}
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil {
			n.mu.Lock()
			n.conns[conn] = struct{}{}
			n.mu.Unlock()
		}
		return conn, err
	}
	return pgx.ConnectConfig(ctx, cfg)
}

// crossing is a channel that becomes busy and quiet again.
type crossing struct {
	s       *stage
	channel string
	table   string
	nodes   [2]*modeNode
	rate    atomic.Int64
	written [modeRows + 1]atomic.Int64
	killed  int
	figures [2][]float64 // milliseconds while quiet, and while busy
}

// crossings are the channels of modes, each with its table and how a row of it begins.
var crossings = []struct{ channel, table, row string }{
	{"items", "item", "i, 0, ''"}, {"steps", "step", "i, 1, 0, ''"}, {"parcels", "parcel", "i, 1, 0, ''"},
}

// modes makes channels busy and quiet so many times in all, and kills who leads at random.
func modes(ctx context.Context, s *stage, times int) ([]figure, []string, error) {
	if err := s.crash(); err != nil { // the feeds are ours here
		return nil, nil, err
	}
	for _, c := range crossings {
		fill := fmt.Sprintf("insert into %s select %s from generate_series(1, %d) i", c.table, c.row, modeRows)
		if err := s.exec(ctx, database, fill); err != nil {
			return nil, nil, err
		}
	}
	running, stop := context.WithCancel(ctx)
	var feeds errgroup.Group
	defer func() { stop(); _ = feeds.Wait() }()
	var all []*crossing
	group, under := errgroup.WithContext(ctx)
	for _, c := range crossings {
		x := &crossing{s: s, channel: c.channel, table: c.table}
		all = append(all, x)
		if err := x.begin(running, &feeds); err != nil {
			return nil, nil, err
		}
		group.Go(func() error { return x.run(under, (times+len(crossings)-1)/len(crossings)) })
	}
	start := time.Now()
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return modeFigures(all, time.Since(start))
}

func modeFigures(all []*crossing, took time.Duration) ([]figure, []string, error) {
	var lost, disorder, told, killed int
	var led, rings, tries, missed, changes uint64
	var took99 [2][]float64
	for _, x := range all {
		killed += x.killed
		for i := range took99 {
			took99[i] = append(took99[i], x.figures[i]...)
		}
		for _, n := range x.nodes {
			lost, disorder, told = lost+n.wrong[0], disorder+n.wrong[1], told+n.told
			st := &n.feed.Stats
			led, rings, tries = led+st.Led.Load(), rings+st.Rings.Load(), tries+st.Tries.Load()
			missed, changes = missed+st.Missed.Load(), changes+st.Changes.Load()
		}
	}
	quiet, busy := measure.Quantile(took99[0], 0.99), measure.Quantile(took99[1], 0.99)
	name := fmt.Sprintf("busy mode on and off %d times in %d channels of two nodes, the leader killed %d times: ", led, len(all), killed)
	figures := []figure{
		count(name+"lost", lost, 0), count(name+"twice or out of order in a row", disorder, 0), count(name+"told to fetch afresh", told, 0),
		{name: name + "p99 from capture to node while busy, in times of that while quiet", values: []float64{busy / quiet}, unit: "×", bar: 3},
		{name: name + "that p99 while busy", values: []float64{busy}, unit: "ms", bar: none},
		{name: name + "and while quiet", values: []float64{quiet}, unit: "ms", bar: none},
	}
	note := fmt.Sprintf("%s%.0f s; %d changes handed on; %d rings for other nodes, %d tries of the lock, %d notifications missed; "+
		"timed: %d and %d.", name, took.Seconds(), changes, rings, tries, missed, len(took99[0]), len(took99[1]))
	return figures, []string{note}, nil
}

// begin runs the nodes and the writers until ctx ends.
func (x *crossing) begin(ctx context.Context, running *errgroup.Group) error {
	pool, err := x.s.connect(ctx)
	if err != nil {
		return err
	}
	var one sync.Mutex
	notify := func(ctx context.Context, channel, payload string) error {
		one.Lock()
		defer one.Unlock()
		_, err := source.Ring(ctx, pool, channel, payload)
		return err
	}
	running.Go(func() error {
		<-ctx.Done()
		one.Lock()
		defer one.Unlock()
		return pool.Close(context.WithoutCancel(ctx))
	})
	for i := range x.nodes {
		n := &modeNode{conns: map[net.Conn]struct{}{}, last: map[int]int{}, took: map[source.Mode][]float64{}}
		n.feed = source.New(source.Options{
			Schema: "rowfeed", Channel: x.channel, Wake: "auto", Tempo: brisk, Handler: n, Log: zap.NewNop(), Notify: notify,
			Connect: func(ctx context.Context) (*pgx.Conn, error) { return n.connect(ctx, x.s) },
		})
		running.Go(func() error { return n.feed.Run(ctx) })
		x.nodes[i] = n
	}
	for _, n := range x.nodes {
		if err := await(ctx, patience, func() (bool, error) { return n.feed.Stats.Listening.Load(), nil }); err != nil {
			return fmt.Errorf("start feed: %w", err)
		}
	}
	x.rate.Store(lowRate)
	for w := range modeWriters {
		conn, err := x.s.connect(ctx)
		if err != nil {
			return err
		}
		running.Go(func() error {
			defer conn.Close(context.WithoutCancel(ctx))
			return x.write(ctx, conn, w)
		})
	}
	return nil
}

// write changes rows of its own, one by one, at the rate of now; some transactions stay open for a moment.
func (x *crossing) write(ctx context.Context, conn *pgx.Conn, w int) error {
	ids := modeRows / modeWriters
	for i := 0; ctx.Err() == nil; i++ {
		if err := pause(ctx, time.Duration(modeWriters*int64(time.Second)/x.rate.Load())); err != nil {
			return nil //nolint:nilerr // it is over
		}
		id := 1 + w*ids + i%ids
		err := pgx.BeginFunc(context.WithoutCancel(ctx), conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(context.WithoutCancel(ctx), "update "+x.table+" set n = n + 1 where id = $1", id)
			if err == nil && i%100 == 99 {
				_ = pause(ctx, time.Duration(rand.N(300))*time.Millisecond)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("change row: %w", err)
		}
		x.written[id].Add(1)
	}
	return nil
}

// run crosses over so many times: first undisturbed, which is timed, then with leaders that are killed.
func (x *crossing) run(ctx context.Context, times int) error {
	for i := range times {
		timed := i < max(3, times/20)
		if err := x.cross(ctx, timed); err != nil {
			return fmt.Errorf("channel %s, crossing %d: %w", x.channel, i+1, err)
		}
	}
	x.rate.Store(1)
	return await(ctx, patience, func() (bool, error) {
		for _, n := range x.nodes {
			if !x.has(n) {
				return false, nil
			}
		}
		return true, nil
	})
}

// has tells whether a node has all that was written.
func (x *crossing) has(n *modeNode) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := 1; id <= modeRows; id++ {
		if int64(n.last[id]) < x.written[id].Load() {
			return false
		}
	}
	return true
}

// leader returns who leads; nil: nobody.
func (x *crossing) leader() *modeNode {
	for _, n := range x.nodes {
		if n.feed.Stats.Leading.Load() {
			return n
		}
	}
	return nil
}

// cross makes the channel busy and quiet again.
func (x *crossing) cross(ctx context.Context, timed bool) error {
	busy := func() (bool, error) { return x.leader() != nil, nil }
	if timed {
		if err := x.time(ctx, 0, source.Quiet); err != nil {
			return err
		}
	}
	x.rate.Store(highRate)
	if err := await(ctx, patience, busy); err != nil {
		return fmt.Errorf("wait for a leader: %w", err)
	}
	switch {
	case timed:
		if err := x.time(ctx, 1, source.Busy, source.Following); err != nil {
			return err
		}
	default:
		if err := pause(ctx, rand.N(100*time.Millisecond)); err != nil {
			return err
		}
		if err := x.kill(ctx); err != nil {
			return err
		}
		if err := await(ctx, patience, busy); err != nil {
			return fmt.Errorf("wait for another leader: %w", err)
		}
	}
	x.rate.Store(lowRate)
	err := await(ctx, patience, func() (bool, error) { return x.leader() == nil, nil })
	if err != nil {
		return fmt.Errorf("wait until nobody leads: %w", err)
	}
	return nil
}

// kill ends the leader's session, or all of its node's connections, or does not.
func (x *crossing) kill(ctx context.Context) error {
	n := x.leader()
	how := rand.N(3)
	if n == nil || how == 0 {
		return nil
	}
	x.killed++
	if how == 1 {
		n.cut()
		return nil
	}
	return x.s.exec(ctx, "postgres", "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1",
		"rowfeed door "+x.channel)
}

// time waits until both nodes are in one of the modes, and for changes that are handed on meanwhile.
func (x *crossing) time(ctx context.Context, which int, wanted ...source.Mode) error {
	is := func() (bool, error) {
		for _, n := range x.nodes {
			if m := n.feed.Stats.Mode(); m != wanted[0] && m != wanted[len(wanted)-1] {
				return false, nil
			}
		}
		return true, nil
	}
	if err := await(ctx, patience, is); err != nil {
		return fmt.Errorf("wait for %v: %w", wanted, err)
	}
	for _, n := range x.nodes {
		n.times()
	}
	for _, n := range x.nodes {
		begun := n.feed.Stats.Changes.Load()
		if err := await(ctx, patience, func() (bool, error) { return n.feed.Stats.Changes.Load() >= begun+calmChanges, nil }); err != nil {
			return errors.New("wait for changes: they do not come")
		}
	}
	for _, n := range x.nodes {
		took := n.times()
		for _, m := range wanted {
			x.figures[which] = append(x.figures[which], took[m]...)
		}
	}
	return nil
}
