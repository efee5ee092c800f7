//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
)

// How the storm's clients lag behind each other, and what they miss together.
const (
	stormPlaces = 20 // places in the feed that their cursors name
	stormMissed = 50 // changes while all of them are away
)

// survivor is one client of the storm: what it is told is one row's versions, in order and without a hole.
type survivor struct {
	raw
	last   int    // the newest version that it was told
	place  int    // it keeps the first cursor that it gets from this version on
	cursor string // given at the next connection
	fresh  bool   // nothing has come on this connection yet
	events int
}

func (v *survivor) take(event []byte) error {
	n, err := numberOf(event, "n")
	if err != nil {
		return err
	}
	v.events++
	// The first event of a connection may be one that is known; from then on each is the next.
	if v.last > 0 && (n > v.last+1 || !v.fresh && n != v.last+1) {
		return fmt.Errorf("version %d came after %d", n, v.last)
	}
	v.last, v.fresh = n, false
	if v.cursor == "" && n >= v.place {
		v.cursor = string(textOf(event, "cursor"))
	}
	return nil
}

// storm has count clients reconnect and resume at once, in so many rounds of each kind, and compares with the time that
// their handshakes alone take.
func storm(ctx context.Context, s *stage, count, rounds int) ([]figure, []string, error) {
	if err := raiseFiles(uint64(count) + 1000); err != nil {
		return nil, nil, err
	}
	if err := s.crash(); err != nil { // it was started with fewer files
		return nil, nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, nil, err
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	t := &tempest{s: s, conn: conn}
	clients := make([]*raw, count)
	for i := range clients {
		v := &survivor{}
		v.number, v.token, v.heard = i+1, token(jwt.MapClaims{"user_id": i + 1, "roles": []string{"all"}}), v.take
		t.all, clients[i] = append(t.all, v), &v.raw
	}
	if t.swarm, err = newSwarm(clients, s.address); err != nil {
		return nil, nil, err
	}
	defer t.swarm.close()
	var figures []figure
	var notes []string
	for _, restart := range []bool{false, true} {
		name := fmt.Sprintf("%d clients reconnect and resume at once", count)
		if restart {
			name += ", after a restart of the bridge"
		}
		row := func(what, unit string, bar float64) figure {
			return figure{name: name + ": " + what, unit: unit, bar: bar}
		}
		ratio, took, alone := row("all caught up, in times of their handshakes alone", "×", 2), row("the time", "s", none),
			row("of their handshakes alone", "s", none)
		queries := row("queries to the database", "", 100)
		for range rounds {
			r, err := t.round(ctx, restart)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
			ratio.values = append(ratio.values, r.resumed.Seconds()/r.alone.Seconds())
			took.values, alone.values = append(took.values, r.resumed.Seconds()), append(alone.values, r.alone.Seconds())
			queries.values = append(queries.values, float64(r.queries))
			notes = append(notes, fmt.Sprintf("%s: %d events in a round, none missing, none out of order; the bridge counts %d queries, "+
				"the server's log %d.", name, r.events, r.counted, r.queries))
		}
		figures = append(figures, ratio, took, alone, queries)
	}
	return figures, notes, nil
}

// tempest is a storm that goes on.
type tempest struct {
	s     *stage
	conn  *pgx.Conn
	swarm *swarm
	all   []*survivor
	n     int // version that was written last
}

// stormRound is what one round came to.
type stormRound struct {
	alone, resumed time.Duration
	queries        int // for the resumes, by the server's log
	counted        int // and by the bridge's own account
	events         int // in the resumes
}

func (t *tempest) round(ctx context.Context, restart bool) (r stormRound, err error) {
	for _, v := range t.all {
		v.subscribe, v.cursor, v.last = `{"type":"subscribe","ref":"1","channel":"pulses"}`, "", 0
	}
	if r.alone, err = t.swarm.connect(ctx, func(c *raw) bool { return c.subscribed }); err != nil {
		return r, fmt.Errorf("shake hands: %w", err)
	}
	if err := t.scatter(ctx); err != nil {
		return r, err
	}
	t.swarm.hangUp()
	if err := t.write(ctx, stormMissed); err != nil {
		return r, err
	}
	if restart {
		if err := t.s.crash(); err != nil {
			return r, err
		}
		if err := t.s.start(ctx); err != nil {
			return r, err
		}
	}
	for _, v := range t.all {
		v.subscribe = fmt.Sprintf(`{"type":"subscribe","ref":"1","channel":"pulses","cursor":%q}`, v.cursor)
		v.fresh, v.events = true, 0
	}
	before, err := t.account()
	if err != nil {
		return r, err
	}
	byClient := map[*raw]*survivor{}
	for _, v := range t.all {
		byClient[&v.raw] = v
	}
	if r.resumed, err = t.swarm.connect(ctx, func(c *raw) bool { return byClient[c].last == t.n }); err != nil {
		return r, fmt.Errorf("resume: %w", err)
	}
	after, err := t.account()
	if err != nil {
		return r, err
	}
	t.swarm.hangUp()
	for _, v := range t.all {
		r.events += v.events
	}
	r.queries, r.counted = after.logged-before.logged, after.counted-before.counted
	return r, nil
}

// scatter has each client end up with a cursor, at different places of the feed.
func (t *tempest) scatter(ctx context.Context) error {
	for i, v := range t.all {
		v.place = t.n + 1 + i%stormPlaces
	}
	for {
		if _, err := t.conn.Exec(ctx, "select rowfeed.tick()"); err != nil {
			return fmt.Errorf("write tick: %w", err)
		}
		if err := t.write(ctx, 1); err != nil {
			return err
		}
		placed := true
		if err := t.swarm.until(ctx, func() bool {
			placed = true
			for _, v := range t.all {
				if v.last < t.n {
					return false
				}
				placed = placed && v.cursor != ""
			}
			return true
		}); err != nil {
			return fmt.Errorf("wait for version %d: %w", t.n, err)
		}
		if placed {
			return nil
		}
	}
}

// write makes n changes, each its own transaction.
func (t *tempest) write(ctx context.Context, n int) error {
	for range n {
		t.n++
		if _, err := t.conn.Exec(ctx, "update pulse set n = $1 where id = 1", t.n); err != nil {
			return fmt.Errorf("write pulse: %w", err)
		}
	}
	return nil
}

// account is how many queries there were so far.
type account struct{ logged, counted int }

// routine are the bridge's statements that nobody's resuming causes.
var routine = [][]byte{[]byte("rowfeed_sweep"), []byte("rowfeed_glance"), []byte(".tick()"), []byte(".rotate()"), []byte("ping"),
	[]byte("listen "), []byte("notify")}

func (t *tempest) account() (a account, err error) {
	text, err := os.ReadFile(filepath.Join(t.s.server.Dir(), "server.log"))
	if err != nil {
		return a, fmt.Errorf("read server log: %w", err)
	}
	for line := range bytes.Lines(text) {
		said, ok := bytes.CutPrefix(line, []byte(bridgeRole+"|LOG:  "))
		if ok && (bytes.HasPrefix(said, []byte("statement:")) || bytes.HasPrefix(said, []byte("execute"))) && !isRoutine(said) {
			a.logged++
		}
	}
	counted, err := t.s.metric("rowfeed_router_replay_queries_total", "")
	a.counted = int(counted)
	return a, err
}

func isRoutine(statement []byte) bool {
	for _, r := range routine {
		if bytes.Contains(bytes.ToLower(statement), r) {
			return true
		}
	}
	return false
}
