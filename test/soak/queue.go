//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"nalar.internal/rowfeed/test/measure"
	"nalar.internal/rowfeed/test/pgserver"
)

// queueServer finds a server whose queue of notifications can be made small: before version 17 it holds 8 GB.
func queueServer(ctx context.Context) (string, error) {
	dir, err := pgserver.Find(ctx)
	if err != nil {
		return "", err
	}
	if major, err := pgserver.Major(ctx, dir); err != nil || major >= smallQueue {
		return dir, err
	}
	return pgserver.FindVersion(ctx, strconv.Itoa(smallQueue))
}

// smallQueue is the first version with the setting max_notify_queue_pages.
const smallQueue = 17

// queueing stops a bridge, so that its sessions hear nothing any more, and fills the server's queue of notifications with
// a flood, as any login may: the ERP's commits go on, above half of the queue and when it is full, where a NOTIFY fails.
func queueing(ctx context.Context, s *stage, rate float64, window time.Duration) ([]figure, []string, error) {
	if err := (&traffic{s: s}).fill(ctx); err != nil {
		return nil, nil, err
	}
	flood, err := s.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer flood.Close(context.WithoutCancel(ctx))
	q := &queue{s: s, conn: flood}
	const title = "the queue of notifications "
	p99 := func(state string) figure {
		return figure{name: title + state + ": p99 of the ERP's commits", unit: "ms", bar: none}
	}
	figures := []figure{{}, p99("is empty"), p99("is over half full"), p99("is full")}
	failed := 0
	for i, fill := range []func(context.Context) error{
		func(context.Context) error { return nil }, q.half, q.full,
	} {
		if err := fill(ctx); err != nil {
			return nil, nil, err
		}
		before, err := q.usage(ctx)
		if err != nil {
			return nil, nil, err
		}
		t := &traffic{s: s, rate: rate}
		if err := t.during(ctx, func() error { return pause(ctx, window) }); err != nil {
			return nil, nil, err
		}
		failed += len(t.failed)
		if err := t.failures(); err != nil {
			q.notes = append(q.notes, err.Error())
		}
		figures[i+1].values = []float64{measure.Quantile(t.commits, 0.99)}
		after, err := q.usage(ctx)
		if err != nil {
			return nil, nil, err
		}
		q.notes = append(q.notes, fmt.Sprintf("%s%d %% full, and %d %% after %d writes of the ERP.", title, int(100*before), int(100*after),
			len(t.writes)))
		if i > 0 && after > before {
			q.grown++
		}
	}
	if err := s.signal(syscall.SIGCONT); err != nil {
		return nil, nil, err
	}
	start := time.Now()
	err = await(ctx, patience, func() (bool, error) {
		usage, err := q.usage(ctx)
		return usage == 0, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("wait for the queue to be read: %w", err)
	}
	took := figure{name: title + "when the bridge goes on: until it is empty", unit: "s", bar: none}
	took.values = []float64{time.Since(start).Seconds()}
	figures[0] = count(title+"is half full, and full: writes that failed", failed, 0)
	return append(figures, count(title+"is over half full: times that the ERP's writes added to it", q.grown, 0), took), q.notes, s.ready(ctx)
}

// queue is the server's queue of notifications, which a stopped bridge does not read.
type queue struct {
	s     *stage
	conn  *pgx.Conn
	grown int
	notes []string
}

func (q *queue) usage(ctx context.Context) (share float64, err error) {
	if err = q.conn.QueryRow(ctx, "select pg_notification_queue_usage()").Scan(&share); err != nil {
		return 0, fmt.Errorf("read queue usage: %w", err)
	}
	return share, nil
}

// half stops the bridge and fills the queue over half. What the sockets to the bridge hold comes first.
func (q *queue) half(ctx context.Context) error {
	if err := q.s.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	above := 0
	return await(ctx, patience, func() (bool, error) {
		usage, err := q.usage(ctx)
		if err != nil || usage > 0.55 {
			above++
			return above > 200, err // a second and more: nobody reads it
		}
		above = 0
		return false, q.ring(ctx, 5)
	})
}

// full goes on until there is no room.
func (q *queue) full(ctx context.Context) error {
	return await(ctx, patience, func() (bool, error) {
		err := q.ring(ctx, 1)
		if pg := new(pgconn.PgError); errors.As(err, &pg) && pg.Code == "54000" { // program_limit_exceeded
			return true, nil
		}
		return false, err
	})
}

// ring sends so many long notifications on a channel that the bridge listens to.
func (q *queue) ring(ctx context.Context, n int) error {
	_, err := q.conn.Exec(ctx, "select pg_notify('rowfeed:items', repeat('x', 7900) || i) from generate_series(1, $1::int) i", n)
	return err
}
