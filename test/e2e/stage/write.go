package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

const (
	writing  = 8     // connections that write at the same time
	counters = 30    // rows that they write to
	all      = 200   // rows
	together = 20    // rows that are poured at once
	poured   = 1_000 // a second
)

// writers count counters up, each in transactions of its own; or one pours out changes, at a steady rate.
type writers struct {
	url    string
	cancel context.CancelFunc
	group  *errgroup.Group
}

func newWriters(url string) *writers { return &writers{url: url} }

func (w *writers) start(ctx context.Context) { w.run(ctx, writing, write) }

func (w *writers) pour(ctx context.Context) { w.run(ctx, 1, pour) }

func (w *writers) run(ctx context.Context, many int, work func(context.Context, string) error) {
	if w.group != nil {
		return
	}
	ctx, w.cancel = context.WithCancel(ctx)
	w.group = new(errgroup.Group)
	for range many {
		w.group.Go(func() error { return work(ctx, w.url) })
	}
}

// stop waits for the end of all that is being written.
func (w *writers) stop() error {
	if w.group == nil {
		return nil
	}
	w.cancel()
	err := w.group.Wait()
	w.group = nil
	return err
}

// write changes a counter, and another, until ctx ends. Some transactions commit late, after others that began later;
// some are rolled back. The pauses, in the server, make it some 250 changes a second with all the others.
func write(ctx context.Context, url string) error {
	own := context.WithoutCancel(ctx)
	conn, err := pgx.Connect(own, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(own)
	for ctx.Err() == nil {
		late := 0.0
		if rand.IntN(20) == 0 {
			late = rand.Float64() / 2
		}
		finish := "commit"
		if rand.IntN(10) == 0 {
			finish = "rollback"
		}
		_, err := conn.Exec(own, fmt.Sprintf("begin; update counter set n = n + 1 where id = %d; select pg_sleep(%f); %s;"+
			" select pg_sleep(0.02)", 1+rand.IntN(counters), late, finish))
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// pour changes all rows in turn until ctx ends, so many a second whatever a change takes.
func pour(ctx context.Context, url string) error {
	own := context.WithoutCancel(ctx)
	conn, err := pgx.Connect(own, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(own)
	tick := time.NewTicker(time.Second * together / poured)
	defer tick.Stop()
	for begin, done := time.Now(), 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for ; done < int(time.Since(begin).Seconds()*poured); done += together {
			first := done%all + 1
			if _, err := conn.Exec(own, "update counter set n = n + 1 where id between $1 and $2",
				first, first+together-1); err != nil {
				return fmt.Errorf("pour: %w", err)
			}
		}
	}
}
