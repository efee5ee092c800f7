//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// attack is one kind of fault, done to the real thing again and again under load.
type attack struct {
	name  string
	fault func(ctx context.Context, s *stage, l *load, p *proxy) error

	undoes bool // it may undo what was committed and delivered
}

var attacks = map[string]attack{
	"killed": {name: "bridge killed by SIGKILL", fault: func(ctx context.Context, s *stage, _ *load, _ *proxy) error {
		if err := s.crash(); err != nil {
			return err
		}
		return s.start(ctx)
	}},
	"terminated": {name: "all backends of the bridge terminated", fault: func(ctx context.Context, s *stage, _ *load, _ *proxy) error {
		return s.exec(ctx, "postgres", "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", bridgeRole)
	}},
	"crashed": {name: "PostgreSQL killed by SIGQUIT among unflushed transactions", fault: crashServer, undoes: true},
	"cut": {name: "connections cut in mid-message", fault: func(ctx context.Context, s *stage, _ *load, p *proxy) error {
		p.cutting.Store(true)
		defer p.cutting.Store(false)
		was := p.cuts.Load()
		return await(ctx, patience, func() (bool, error) { return p.cuts.Load() >= was+clients, s.alive() })
	}},
}

// crashServer has transactions commit for a while without waiting for the disk, kills the server in their midst, and
// starts it again.
func crashServer(ctx context.Context, s *stage, l *load, _ *proxy) error {
	l.loose.Store(true)
	if err := pause(ctx, 200*time.Millisecond+rand.N(600*time.Millisecond)); err != nil {
		return err
	}
	gone := s.server.Done()
	if err := s.server.Kill(syscall.SIGQUIT); err != nil {
		return err
	}
	<-gone
	l.loose.Store(false)
	return s.server.Restart(ctx)
}

// clients is how many resume; the last two by plain endpoints.
const clients = 10

// ordeal is an attack, so many times under so many changes a second.
type ordeal struct {
	attack
	times int
	rate  float64
	calm  time.Duration // between two faults, at least
	held  time.Duration // late transactions
}

// run attacks and returns what has become of the clients.
func (o ordeal) run(ctx context.Context, s *stage) ([]figure, []string, error) {
	p, err := newProxy(s.address, 24<<10)
	if err != nil {
		return nil, nil, err
	}
	defer p.stop()
	list := make([]*client, clients)
	for i := range list {
		list[i] = &client{
			name: fmt.Sprintf("client %d", i), address: p.address, channel: "items", topics: []string{""},
			token: token(jwt.MapClaims{"user_id": i + 1, "roles": []string{"all"}}), afresh: s.readItems,
		}
	}
	list[8].path, list[9].path = "/items", "/items/items"
	list[7].topics = []string{`,"resource":"items"`}
	all := gather(ctx, list)
	defer all.stop()
	// Subscribed before the first change: an item that is not the load's says so.
	if err := s.beacon(ctx, all, 0); err != nil {
		return nil, nil, err
	}
	l := &load{s: s, rate: o.rate, held: o.held}
	l.begin(ctx)
	defer l.stop()
	if err := all.await(ctx, "a cursor", patience, (*client).placed); err != nil {
		return nil, nil, err
	}
	start := time.Now()
	for i := range o.times {
		if err := pause(ctx, o.calm+rand.N(o.calm)); err != nil {
			return nil, nil, err
		}
		if err := o.fault(ctx, s, l, p); err != nil {
			return nil, nil, fmt.Errorf("fault %d: %w", i+1, err)
		}
		if err := s.alive(); err != nil {
			return nil, nil, err
		}
	}
	if err := pause(ctx, o.calm); err != nil {
		return nil, nil, err
	}
	took := time.Since(start)
	l.stop()
	late := s.beacon(ctx, all, -1) // told below by what is lost
	if o.undoes {
		committed, _, err := s.readLedger(ctx)
		if err != nil {
			return nil, nil, err
		}
		// What was undone is told after the sweep that finds it gone; judged below.
		_ = all.await(ctx, "resync", 10*time.Second, func(c *client) (bool, error) { return committed.judge(c, l).untold == 0, nil })
	}
	all.stop()
	return o.figures(ctx, s, l, p, all, took, late)
}

// beacon writes a change that comes after all others and waits until every client has it. Number 0 is written until it
// comes: the clients may not listen yet.
func (s *stage) beacon(ctx context.Context, all *crowd, number int) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	write := func() (v version, err error) {
		if _, err := conn.Exec(ctx, writeSQL, number, "s0"); err != nil {
			return v, fmt.Errorf("write beacon: %w", err)
		}
		v.row = number
		err = conn.QueryRow(ctx, "select n * 2 from item where id = $1", number).Scan(&v.at)
		return v, err
	}
	v, err := write()
	if err != nil {
		return err
	}
	if number < 0 {
		return all.await(ctx, "the last change", patience, func(c *client) (bool, error) { return c.has(v) })
	}
	for {
		err := all.await(ctx, "the first change", 300*time.Millisecond, func(c *client) (bool, error) { return c.has(v) })
		if err == nil || ctx.Err() != nil {
			break
		}
		if v, err = write(); err != nil {
			return err
		}
	}
	// What came before somebody listened is not theirs to miss.
	for _, c := range all.clients {
		c.mu.Lock()
		c.log, c.versions = nil, map[version]struct{}{}
		c.mu.Unlock()
	}
	_, err = conn.Exec(ctx, "delete from item_audit")
	return err
}

func (o ordeal) figures(ctx context.Context, s *stage, l *load, p *proxy, all *crowd, took time.Duration, late error) (
	[]figure, []string, error) {
	committed, total, err := s.readLedger(ctx)
	if err != nil {
		return nil, nil, err
	}
	// What a crash has undone, subscribers are told of as resync; else nobody has to hear one.
	told, again := 0.0, 0.0
	if o.undoes {
		told, again = none, none
	}
	var v verdict
	for _, c := range all.clients {
		v.add(committed.judge(c, l))
	}
	t := all.tally()
	name := fmt.Sprintf("%s %d times under %.0f changes/s, %d clients: ", o.name, o.times, float64(total)/took.Seconds(), clients)
	figures := []figure{
		count(name+"lost", v.lost, 0), count(name+"twice", v.twice, 0), count(name+"out of order in a row", v.disorder, 0),
		count(name+"never committed", v.foreign, 0), count(name+"told to fetch afresh", t.resyncs+t.refused, told),
		count(name+"ids that came again on one connection", t.twice, again),
	}
	note := fmt.Sprintf("%s: %d committed changes, %d events; %d connections, %d cut, %d by the proxy, %d resumed; %d events came again "+
		"after a resume and were dropped by id; %d transactions rolled back, %d committed late.",
		o.name, total, t.events, t.connections, t.cut, p.cuts.Load(), t.resumed, t.repeats, l.rolledBack.Load(), l.late.Load())
	if o.undoes {
		figures = append(figures, count(name+"events of changes that the crash undid", v.undone, none),
			count(name+"of these, after which the client was not told to fetch afresh", v.untold, 0))
	}
	notes := []string{note}
	if v.first != "" {
		notes = append(notes, "First fault: "+v.first+".")
	}
	if late != nil {
		notes = append(notes, "Not caught up: "+late.Error()+".")
	}
	if t.connections == 0 || total == 0 || v.lost > total*clients {
		return nil, nil, fmt.Errorf("nothing was judged: %s", note)
	}
	return figures, notes, nil
}
