//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// traffic is an ERP whose writes are timed: short transactions, each of which writes two tables in either order, and some
// that write all of them and hold their locks for long. None waits for another's rows: what waits, waits for us.
type traffic struct {
	s    *stage
	rate float64       // writes a second
	held time.Duration // how long a long transaction stays open; 0: there are none

	mu      sync.Mutex
	writes  []float64 // milliseconds that each took
	commits []float64 // likewise, of short transactions
	failed  []error
	began   time.Time
	stop    func()
}

// Rows of each table, a hundred for each writer.
const (
	trafficWriters = 8
	trafficLong    = 2
	trafficRows    = 100
)

// Tables that are written; day is partitioned, by the digit that a key ends in.
var trafficTables = []string{"item", "step", "parcel", "day"}

// fill makes the rows.
func (t *traffic) fill(ctx context.Context) error {
	rows := (trafficWriters + trafficLong) * trafficRows
	for _, sql := range []string{
		"insert into item select i, 1, 'm0' from generate_series(0, $1::int - 1) i",
		"insert into step select i, i, 1, 'pad' from generate_series(0, $1::int - 1) i",
		"insert into parcel select i, i, 1, 'pad' from generate_series(0, $1::int - 1) i",
		"insert into day select i, i % 10, 1 from generate_series(0, $1::int - 1) i",
	} {
		if err := t.s.exec(ctx, database, sql, rows); err != nil {
			return err
		}
	}
	return nil
}

// begin connects the writers and starts them; stop ends them.
func (t *traffic) begin(ctx context.Context) error {
	writers := trafficWriters
	if t.held > 0 {
		writers += trafficLong
	}
	conns := make([]*pgx.Conn, writers)
	for w := range conns {
		conn, err := t.s.connect(ctx)
		if err != nil {
			return err
		}
		conns[w] = conn
	}
	stopped := make(chan struct{})
	var all sync.WaitGroup
	stop := sync.OnceFunc(func() { close(stopped); all.Wait() })
	t.began, t.stop = time.Now(), stop
	for w, conn := range conns {
		all.Go(func() {
			defer conn.Close(context.WithoutCancel(ctx))
			t.writer(ctx, stopped, conn, w)
		})
	}
	return nil
}

// during has the traffic run while something is done.
func (t *traffic) during(ctx context.Context, do func() error) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	defer t.stop()
	return do()
}

// writer makes one transaction after the other, evenly.
func (t *traffic) writer(ctx context.Context, stopped <-chan struct{}, conn *pgx.Conn, w int) {
	random := rand.New(rand.NewPCG(t.s.random, uint64(w)))
	long := w >= trafficWriters
	every := time.Duration(2 * trafficWriters / t.rate * float64(time.Second))
	due := time.Now().Add(time.Duration(random.Int64N(int64(every))))
	if long { // the locks are held for four fifths of the time, now by one and now by the other
		every = t.held * 5 / 2
		due = time.Now().Add(time.Duration(w-trafficWriters) * every / trafficLong)
	}
	for {
		select {
		case <-stopped:
			return
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		// What was kept waiting is not made up for: this is about how long a write takes.
		if due = due.Add(every); due.Before(time.Now()) {
			due = time.Now()
		}
		tables, open := random.Perm(len(trafficTables))[:2], time.Duration(0)
		if long {
			tables, open = random.Perm(len(trafficTables)), t.held
		}
		if err := t.transaction(ctx, conn, tables, w*trafficRows+random.IntN(trafficRows), open); err != nil {
			t.mu.Lock()
			t.failed = append(t.failed, err)
			t.mu.Unlock()
			if conn.IsClosed() {
				return
			}
			_, _ = conn.Exec(ctx, "rollback") // where it can't, the next transaction says so
		}
	}
}

// transaction writes the row with that key in each of the tables.
func (t *traffic) transaction(ctx context.Context, conn *pgx.Conn, tables []int, key int, open time.Duration) error {
	if _, err := conn.Exec(ctx, "begin"); err != nil {
		return err
	}
	for _, table := range tables {
		name := trafficTables[table]
		start := time.Now()
		if _, err := conn.Exec(ctx, "update "+name+" set n = n + 1 where id = $1", key); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		t.note(&t.writes, start)
	}
	if err := pause(ctx, open); err != nil {
		return err
	}
	start := time.Now()
	if _, err := conn.Exec(ctx, "commit"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if open == 0 {
		t.note(&t.commits, start)
	}
	return nil
}

func (t *traffic) note(list *[]float64, start time.Time) {
	took := float64(time.Since(start)) / float64(time.Millisecond)
	t.mu.Lock()
	defer t.mu.Unlock()
	*list = append(*list, took)
}

// failures is what the writers were told; nil where all was well.
func (t *traffic) failures() error { return errors.Join(t.failed...) }
