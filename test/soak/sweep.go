//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/test/measure"
)

// watched is a feed whose sweeps are timed on the wire: from the statement's sending to the last byte of its answer.
type watched struct {
	feed    *source.Feed
	changes int // handed on; written by the feed's goroutine

	mu    sync.Mutex
	took  []float64 // milliseconds
	sent  time.Time
	heard time.Time
}

// Change implements source.Handler.
func (w *watched) Change(change.Place, *change.Change) { w.changes++ }

// Swept implements source.Handler.
func (w *watched) Swept() {}

// Settled implements source.Handler.
func (w *watched) Settled(string) {}

// Lost implements source.Handler.
func (w *watched) Lost(string) {}

// timed is a connection that a feed sweeps by.
type timed struct {
	net.Conn
	w *watched
}

// Write begins a statement, and ends the one before.
func (t *timed) Write(b []byte) (int, error) {
	t.w.mu.Lock()
	t.w.note()
	t.w.sent, t.w.heard = time.Now(), time.Time{}
	t.w.mu.Unlock()
	return t.Conn.Write(b)
}

// Read is a part of the answer.
func (t *timed) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.w.mu.Lock()
	t.w.heard = time.Now()
	t.w.mu.Unlock()
	return n, err
}

// note takes the statement that has been answered into account; w.mu is held.
func (w *watched) note() {
	if !w.sent.IsZero() && !w.heard.IsZero() {
		w.took = append(w.took, float64(w.heard.Sub(w.sent).Microseconds())/1000)
	}
}

// times returns what has been timed and begins anew.
func (w *watched) times() []float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	took := w.took
	w.took = nil
	return took
}

// feedConfig is how the bridge connects to sweep.
func (s *stage) feedConfig(database string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(s.server.URL(database, bridgeRole))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	for name, value := range map[string]string{"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off",
		"max_parallel_workers_per_gather": "0", "jit": "off"} {
		cfg.RuntimeParams[name] = value
	}
	return cfg, nil
}

// watch runs a feed on the named database until ctx ends.
func watch(ctx context.Context, s *stage, database string, running *errgroup.Group) (*watched, error) {
	w := &watched{}
	connections := 0
	w.feed = source.New(source.Options{
		Schema: "rowfeed", Channel: "steps", Wake: "auto", Handler: w, Log: zap.NewNop(),
		Connect: func(ctx context.Context) (*pgx.Conn, error) {
			cfg, err := s.feedConfig(database)
			if err != nil {
				return nil, err
			}
			if connections++; connections == 1 { // the second one listens
				dial := cfg.DialFunc
				cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := dial(ctx, network, addr)
					return &timed{conn, w}, err
				}
			}
			return pgx.ConnectConfig(ctx, cfg)
		},
	})
	running.Go(func() error { return w.feed.Run(ctx) })
	select {
	case <-w.feed.Started():
		return w, nil
	case <-time.After(patience):
		return nil, errors.New("start feed: not there")
	}
}

// Of the sweeps' outbox.
const (
	burntXids = 50_000 // transactions that the rows are spread over
	sweepRate = 1000   // changes a second while sweeps are timed
)

// fillSQL puts rows into the table of the ring that is written to now, as old transactions of the channel.
const fillSQL = `do $$
declare slot int := (select floor(date_part('epoch', clock_timestamp()) / slot_seconds)::int8 %% 3 from rowfeed.installation);
begin
	execute format('insert into rowfeed.change_%%s select ((i / (%[1]d / %[2]d + 1)) + 1000)::text::xid8, ''0/1''::pg_lsn + i, '
		'clock_timestamp(), 1, (select id from rowfeed.channel where name = ''steps''), 1, ''u'', '
		'array[''1'', ''1'', ''1'', ''x''], array[''1'', ''1'', ''2'', ''x''] from generate_series(1, %[1]d) i', slot);
	execute format('analyze rowfeed.change_%%s', slot);
end $$`

// sweeping times sweeps over an outbox of so many rows with a transaction of the ERP that stays open, against those over
// an empty outbox without one.
func sweeping(ctx context.Context, s *stage, rows, rounds int, open time.Duration) ([]figure, []string, error) {
	if err := s.crash(); err != nil { // the feeds are ours here
		return nil, nil, err
	}
	const empty = "soak_empty"
	for _, step := range [][2]string{
		{"postgres", "create database " + empty + " template " + database},
		{database, fmt.Sprintf("do $$ begin for i in 1..%d loop perform pg_current_xact_id(); commit; end loop; end $$", burntXids)},
		{database, fmt.Sprintf(fillSQL, rows, burntXids)},
		{"postgres", "checkpoint"},
	} {
		if err := s.exec(ctx, step[0], step[1]); err != nil {
			return nil, nil, fmt.Errorf("fill outbox: %w", err)
		}
	}
	feeds, stop := context.WithCancel(ctx)
	var running errgroup.Group
	defer func() { stop(); _ = running.Wait() }()
	var sides [2]*watched
	var writers [2]*pgx.Conn
	for i, name := range []string{database, empty} {
		var err error
		if sides[i], err = watch(feeds, s, name, &running); err != nil {
			return nil, nil, err
		}
		url := s.server.URL(name, "postgres")
		if writers[i], err = pgx.Connect(ctx, url); err != nil {
			return nil, nil, fmt.Errorf("connect: %w", err)
		}
		defer writers[i].Close(context.WithoutCancel(ctx))
		if _, err := writers[i].Exec(ctx, "insert into step select i, 1, 0, 'x' from generate_series(1, 100) i"); err != nil {
			return nil, nil, fmt.Errorf("fill table: %w", err)
		}
	}
	name := fmt.Sprintf("an outbox of %d rows and a transaction open for %.0f s, %d changes/s: ", rows, open.Seconds(), sweepRate)
	ratio := figure{name: name + "a sweep's median, in times of that over an empty outbox without it", unit: "×", bar: 1.5}
	long, short := figure{name: name + "the median", unit: "ms", bar: none}, figure{name: name + "and that one", unit: "ms", bar: none}
	tail := figure{name: name + "p99, in times of that one's", unit: "×", bar: none}
	for range rounds {
		var took [2][]float64
		for i := range sides {
			old, err := s.connect(ctx)
			if err != nil {
				return nil, nil, err
			}
			if i == 0 {
				if _, err := old.Exec(ctx, "begin; insert into step values (-1, 1, 0, 'x')"); err != nil {
					return nil, nil, fmt.Errorf("open transaction: %w", err)
				}
			}
			sides[i].times()
			err = write(ctx, writers[i], open)
			took[i] = sides[i].times()
			old.Close(context.WithoutCancel(ctx)) // rolled back
			if err != nil {
				return nil, nil, err
			}
		}
		a, b := measure.Median(took[0]), measure.Median(took[1])
		ratio.values, long.values, short.values = append(ratio.values, a/b), append(long.values, a), append(short.values, b)
		tail.values = append(tail.values, measure.Quantile(took[0], 0.99)/measure.Quantile(took[1], 0.99))
	}
	note := fmt.Sprintf("%s%d and %d sweeps and glances.", name, sides[0].feed.Stats.Sweeps.Load(), sides[1].feed.Stats.Sweeps.Load())
	return []figure{ratio, long, short, tail}, []string{note}, nil
}

// write makes sweepRate changes a second, each its own transaction.
func write(ctx context.Context, conn *pgx.Conn, over time.Duration) error {
	start := time.Now()
	for i := 0; time.Since(start) < over; i++ {
		if wait := time.Until(start.Add(time.Duration(i) * time.Second / sweepRate)); wait > 0 {
			if err := pause(ctx, wait); err != nil {
				return err
			}
		}
		if _, err := conn.Exec(ctx, "update step set n = n + 1 where id = $1", 1+i%100); err != nil {
			return fmt.Errorf("change row: %w", err)
		}
	}
	return nil
}
