//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

// warmups are the updates that each writer makes before it counts: the server has cached its plans by then.
const warmups = 20

// load has n clients update random rows, each update a transaction, and returns how many a second there were.
func load(ctx context.Context, url string, n, rows int, spell time.Duration) (float64, error) {
	var all []*writer
	defer func() {
		for _, w := range all {
			_ = w.conn.Close(context.WithoutCancel(ctx)) // what it wrote is committed
		}
	}()
	for range n {
		w, err := newWriter(ctx, url, rows)
		if err != nil {
			return 0, err
		}
		all = append(all, w)
	}
	var total atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for _, w := range all {
		group.Go(func() error {
			count := int64(0)
			for ; time.Since(start) < spell; count++ {
				if err := w.update(ctx); err != nil {
					return err
				}
			}
			total.Add(count)
			return nil
		})
	}
	err := group.Wait()
	return float64(total.Load()) / time.Since(start).Seconds(), err
}

// bulk updates all rows in one statement, and returns how many seconds it took.
func bulk(ctx context.Context, url string) (float64, error) {
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return 0, fmt.Errorf("connect writer: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it has done its work, or failed at it
	start := time.Now()
	_, err = conn.Exec(ctx, "update inventory_stocklevel set quantity = quantity + 1, updated_at = clock_timestamp()").ReadAll()
	if err != nil {
		return 0, fmt.Errorf("update all rows: %w", err)
	}
	return time.Since(start).Seconds(), nil
}

// writer is a client of the ERP's database; it does no more than it must, for it shares the machine with the server.
type writer struct {
	conn *pgconn.PgConn
	rows int
}

// newWriter connects a client, prepares its statement and warms it up.
func newWriter(ctx context.Context, url string, rows int) (*writer, error) {
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("connect writer: %w", err)
	}
	w := &writer{conn: conn, rows: rows}
	_, err = conn.Prepare(ctx, "update", "update inventory_stocklevel set quantity = $1, updated_at = now() where id = $2", nil)
	for i := 0; i < warmups && err == nil; i++ {
		err = w.update(ctx)
	}
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx)) // the first error is the one to tell
		return nil, fmt.Errorf("prepare writer: %w", err)
	}
	return w, nil
}

func (w *writer) update(ctx context.Context) error {
	quantity, id := rand.IntN(1e6), 1+rand.IntN(w.rows)
	values := [][]byte{strconv.AppendInt(nil, int64(quantity), 10), strconv.AppendInt(nil, int64(id), 10)}
	if err := w.conn.ExecPrepared(ctx, "update", values, nil, nil).Read().Err; err != nil {
		return fmt.Errorf("update row: %w", err)
	}
	return nil
}
