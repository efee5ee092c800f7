//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// Generated histories: each lane has rows, writers and a client of its own and makes one history after the other; all
// lanes share the database, the bridge and its memory of the past.
const (
	laneWriters = 3
	laneRows    = 8
	laneSteps   = 30
	laneIDs     = 1000 // ids of a lane begin at its number times this; the last is the beacon's
	widePad     = 24 << 10
)

// lane is one model: what is committed, in order, is what its client has to get.
type lane struct {
	s       *stage
	number  int
	random  *rand.Rand
	writers [laneWriters]*writer
	keeper  *writer // of the time: its transactions are ticks and nothing else
	client  *client
	pad     string
	there   [laneRows]bool // as committed
	current [laneRows]int  // n, as committed
	order   [laneRows][]int
	n       int
	slow    int // steps until a client that does not read reads again; 0: it reads
	done    *atomic.Int64
}

// writer is one connection: what its open transaction has written, and where its savepoints are.
type writer struct {
	conn       *pgx.Conn
	open       bool
	wrote      []version // row is the number in the lane
	savepoints []int
	held       [laneRows]bool // rows that it may have locked
}

// histories makes n histories in so many lanes; how says what is particular about them.
func histories(ctx context.Context, s *stage, n, lanes int, how string) ([]figure, []string, error) {
	var done atomic.Int64
	all := make([]*lane, lanes)
	list := make([]*client, lanes)
	for i := range all {
		l, err := newLane(ctx, s, i+1)
		if err != nil {
			return nil, nil, err
		}
		l.done = &done
		all[i], list[i] = l, l.client
	}
	crowd := gather(ctx, list)
	defer crowd.stop()
	start := time.Now()
	group, running := errgroup.WithContext(ctx)
	for i, l := range all {
		group.Go(func() error {
			defer l.close()
			return l.run(running, (n-i+lanes-1)/lanes)
		})
	}
	failed := group.Wait()
	took := time.Since(start)
	crowd.stop()
	t := crowd.tally()
	outbox, err := s.metric("rowfeed_router_resumes_total", `source="outbox"`)
	if err != nil {
		return nil, nil, err
	}
	memory, err := s.metric("rowfeed_router_resumes_total", `source="memory"`)
	if err != nil {
		return nil, nil, err
	}
	name := fmt.Sprintf("%d generated histories in %d lanes%s: ", n, lanes, how)
	figures := []figure{
		count(name+"not as the model", int64(n)-done.Load(), 0), count(name+"twice on one connection", t.twice, 0),
		count(name+"told to fetch afresh", t.resyncs+t.refused, 0),
	}
	notes := []string{fmt.Sprintf("%s%.0f s; %d events; %d connections, %d of them resumed; %d events came again and were dropped by id; "+
		"%d times closed as a slow consumer; %.0f subscriptions went on from memory, %.0f from the outbox.",
		name, took.Seconds(), t.events, t.connections, t.resumed, t.repeats, t.slow, memory, outbox)}
	if failed != nil {
		notes = append(notes, "First fault: "+failed.Error()+".")
	}
	if done.Load() == 0 {
		return nil, nil, fmt.Errorf("no history was as the model: %w", failed)
	}
	return figures, notes, nil
}

func newLane(ctx context.Context, s *stage, number int) (*lane, error) {
	l := &lane{s: s, number: number, random: rand.New(rand.NewPCG(s.random, uint64(number)))}
	for i := range l.writers {
		conn, err := s.connect(ctx)
		if err != nil {
			return nil, err
		}
		l.writers[i] = &writer{conn: conn}
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	l.keeper = &writer{conn: conn}
	l.client = &client{
		name: fmt.Sprintf("lane %d", number), address: func() string { return s.address }, channel: "steps", topics: []string{""},
		token: token(jwt.MapClaims{"user_id": number}),
	}
	switch number % 4 {
	case 1: // two subscriptions that share a session and have nothing in common
		var halves [2][]string
		for id := range laneIDs / 100 {
			halves[id%2] = append(halves[id%2], fmt.Sprint(l.id(id)))
		}
		for i := range halves {
			halves[i] = append(halves[i], fmt.Sprint(l.id(laneIDs-1-i)))
		}
		l.client.topics = nil
		for _, ids := range halves {
			l.client.topics = append(l.client.topics, `,"resource":"steps","where":{"id":[`+strings.Join(ids, ",")+`]}`)
		}
	case 2:
		l.client.path = "/steps/steps"
	case 3: // rows that fill the queue of a client that does not read
		l.client.smallRead = true
		l.pad = strings.Repeat("x", widePad)
	}
	return l, nil
}

func (l *lane) id(row int) int { return l.number*laneIDs + row }

// run makes n histories.
func (l *lane) run(ctx context.Context, n int) error {
	if err := l.begin(ctx); err != nil {
		return err
	}
	for i := range n {
		if err := l.history(ctx); err != nil {
			return fmt.Errorf("lane %d, history %d: %w", l.number, i+1, err)
		}
		l.done.Add(1)
	}
	return nil
}

// begin waits until the client is live and has a cursor.
func (l *lane) begin(ctx context.Context) error {
	live := func() (bool, error) {
		ok, err := l.arrived()
		if placed, _ := l.client.placed(); !placed {
			return false, err
		}
		return ok, err
	}
	for try := 0; ; try++ {
		if err := l.exec(ctx, l.writers[0], "select rowfeed.tick()"); err != nil {
			return err
		}
		if err := l.beacon(ctx); err != nil {
			return err
		}
		err := await(ctx, 300*time.Millisecond, live)
		if err == nil {
			return nil
		}
		if try > 100 || ctx.Err() != nil {
			return fmt.Errorf("wait for a cursor: %w", err)
		}
	}
}

// history makes one and compares.
func (l *lane) history(ctx context.Context) error {
	l.client.mu.Lock()
	l.client.log = l.client.log[:0]
	l.client.mu.Unlock()
	for range laneSteps {
		if err := l.step(ctx, l.writers[l.random.IntN(laneWriters)]); err != nil {
			return err
		}
		l.disturb()
	}
	if l.slow > 0 {
		l.slow = 0
		l.client.reading.Unlock()
	}
	for _, w := range l.writers {
		if err := l.end(ctx, w, l.random.IntN(4) > 0); err != nil {
			return err
		}
	}
	return l.check(ctx)
}

// disturb has the client lose its connection, or read nothing for a while.
func (l *lane) disturb() {
	if l.slow > 0 {
		if l.slow--; l.slow == 0 {
			l.client.reading.Unlock()
		}
	}
	switch n := l.random.IntN(100); {
	case n < 4:
		l.client.drop(0)
	case n < 6:
		l.client.drop(1 + l.random.IntN(keptCursors))
	case n < 10 && l.slow == 0:
		l.slow = 1 + l.random.IntN(laneSteps)
		l.client.reading.Lock()
	}
}

// step has a writer do one thing.
func (l *lane) step(ctx context.Context, w *writer) error {
	switch n := l.random.IntN(20); {
	case n < 11:
		return l.write(ctx, w)
	case n < 13 && !w.open:
		w.open = true
		return l.exec(ctx, w, "begin")
	case n < 15 && w.open:
		w.savepoints = append(w.savepoints, len(w.wrote))
		return l.exec(ctx, w, fmt.Sprintf("savepoint s%d", len(w.savepoints)-1))
	case n < 17 && len(w.savepoints) > 0:
		last := len(w.savepoints) - 1
		if l.random.IntN(2) == 0 {
			w.wrote = w.wrote[:w.savepoints[last]]
			return l.exec(ctx, w, fmt.Sprintf("rollback to s%d", last))
		}
		w.savepoints = w.savepoints[:last]
		return l.exec(ctx, w, fmt.Sprintf("release s%d", last))
	case n < 18:
		return l.tick(ctx)
	default:
		return l.end(ctx, w, l.random.IntN(4) > 0)
	}
}

// tick writes a place into the feed, or commits one that was written a while ago.
func (l *lane) tick(ctx context.Context) error {
	k := l.keeper
	if k.open {
		k.open = false
		return l.exec(ctx, k, "commit")
	}
	if l.random.IntN(3) == 0 {
		k.open = true
		return l.exec(ctx, k, "begin; select rowfeed.tick()")
	}
	return l.exec(ctx, k, "select rowfeed.tick()")
}

// write changes a row that no other writer has locked.
func (l *lane) write(ctx context.Context, w *writer) error {
	row := l.random.IntN(laneRows)
	for _, other := range l.writers {
		if other != w && other.held[row] {
			return nil
		}
	}
	there, was := l.there[row], l.current[row]
	for _, done := range w.wrote {
		if done.row == row {
			there, was = done.at%2 == 0, done.at/2
		}
	}
	l.n++
	v := version{row, 2 * l.n}
	var err error
	switch {
	case !there:
		_, err = w.conn.Exec(ctx, "insert into step values ($1, $2, $3, $4)", l.id(row), l.number, l.n, l.pad)
	case l.random.IntN(4) > 0:
		_, err = w.conn.Exec(ctx, "update step set n = $1 where id = $2", l.n, l.id(row))
	default:
		_, err = w.conn.Exec(ctx, "delete from step where id = $1", l.id(row))
		v.at = 2*was + 1
	}
	if err != nil {
		return fmt.Errorf("write row: %w", err)
	}
	w.held[row] = true
	w.wrote = append(w.wrote, v)
	if !w.open {
		return l.end(ctx, w, true)
	}
	return nil
}

// end commits what a writer has open, or rolls it back.
func (l *lane) end(ctx context.Context, w *writer, commit bool) error {
	if w.open {
		last := "rollback"
		if commit {
			last = "commit"
		} else {
			w.wrote = nil
		}
		if err := l.exec(ctx, w, last); err != nil {
			return err
		}
	}
	for _, v := range w.wrote {
		l.order[v.row] = append(l.order[v.row], v.at)
		l.there[v.row], l.current[v.row] = v.at%2 == 0, v.at/2
	}
	*w = writer{conn: w.conn}
	return nil
}

// beacon makes changes that come after all that is committed, one for each of the client's subscriptions.
func (l *lane) beacon(ctx context.Context) error {
	l.n++
	for i := range 2 {
		_, err := l.writers[0].conn.Exec(ctx, "insert into step values ($1, $2, $3, '') on conflict (id) do update set n = excluded.n",
			l.id(laneIDs-1-i), l.number, l.n)
		if err != nil {
			return fmt.Errorf("write beacon: %w", err)
		}
	}
	return nil
}

// arrived tells whether the beacon has come by all subscriptions.
func (l *lane) arrived() (bool, error) {
	for i := range 2 {
		if ok, err := l.client.has(version{l.id(laneIDs - 1 - i), 2 * l.n}); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// check compares what the client has got with the model.
func (l *lane) check(ctx context.Context) error {
	if err := l.beacon(ctx); err != nil {
		return err
	}
	if err := await(ctx, patience, l.arrived); err != nil {
		return fmt.Errorf("wait for its end: %w", err)
	}
	l.client.mu.Lock()
	defer l.client.mu.Unlock()
	var got [laneRows][]int
	for _, a := range l.client.log {
		if row := a.row - l.id(0); row >= 0 && row < laneRows {
			got[row] = append(got[row], a.at)
		} else if row < laneIDs-2 || row >= laneIDs {
			return fmt.Errorf("row %d is not of this lane", a.row)
		}
	}
	for row := range laneRows {
		if !slices.Equal(got[row], l.order[row]) {
			return fmt.Errorf("row %d: got %v, committed %v (%+v)", row, got[row], l.order[row], l.client.tally)
		}
		l.order[row] = nil
	}
	if l.client.tally.twice > 0 {
		return fmt.Errorf("an event came twice on one connection")
	}
	return nil
}

func (l *lane) exec(ctx context.Context, w *writer, sql string) error {
	if _, err := w.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

func (l *lane) close() {
	if l.slow > 0 {
		l.slow = 0
		l.client.reading.Unlock()
	}
	for _, w := range append(l.writers[:], l.keeper) {
		w.conn.Close(context.Background())
	}
}
