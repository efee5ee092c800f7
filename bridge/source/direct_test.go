package source_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

// direct is a feed without a bridge around it: what it hands on is kept as text.
type direct struct {
	*rig.Rig
	url     string // the feed's: the configuration may change while it runs
	feed    *source.Feed
	heard   chan string
	connect atomic.Pointer[func(context.Context) (*pgx.Conn, error)] // nil: as the bridge's role
}

// heardRoom is more than any test here lets wait.
const heardRoom = 10_000

// newDirect runs the feed of channel items until the test ends.
func newDirect(t *testing.T, sql, channels string) *direct {
	t.Helper()
	return newDirectOn(t, pgtest.New(t), sql, channels)
}

func newDirectOn(t *testing.T, db *pgtest.DB, sql, channels string) *direct {
	t.Helper()
	d := attach(t, rig.PrepareOn(t, db, sql, channels), nil)
	select {
	case <-d.feed.Started():
	case <-time.After(rig.Limit):
		t.Fatal("the feed does not start")
	}
	return d
}

// attach runs a feed of channel items on what is installed; tune may change how.
func attach(t *testing.T, r *rig.Rig, tune func(*source.Options)) *direct {
	t.Helper()
	d := &direct{Rig: r, url: r.Config.Database.URL, heard: make(chan string, heardRoom)}
	o := source.Options{
		Connect: func(ctx context.Context) (*pgx.Conn, error) {
			if f := d.connect.Load(); f != nil {
				return (*f)(ctx)
			}
			return d.plain(ctx)
		},
		Schema: "rowfeed", Channel: "items", Wake: "auto", Handler: d,
		Log: zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)),
	}
	if tune != nil {
		tune(&o)
	}
	d.feed = source.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.feed.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run feed: %v", err)
		}
	})
	return d
}

// plain connects as the bridge does.
func (d *direct) plain(ctx context.Context) (*pgx.Conn, error) {
	c, err := pgx.ParseConfig(d.url)
	if err != nil {
		return nil, err
	}
	c.RuntimeParams["application_name"] = "rowfeed items"
	c.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	c.RuntimeParams["enable_seqscan"] = "off"
	c.RuntimeParams["max_parallel_workers_per_gather"] = "0"
	c.RuntimeParams["jit"] = "off"
	return pgx.ConnectConfig(ctx, c)
}

// Change implements source.Handler.
func (d *direct) Change(_ change.Place, c *change.Change) {
	text := func(row change.Row) string {
		if row == nil {
			return "-"
		}
		return fmt.Sprintf("%s=%s", row[0], row[c.Relation.Position("n")])
	}
	switch c.Op {
	case change.Insert, change.Update:
		d.heard <- text(c.New)
	case change.Delete:
		d.heard <- text(c.Old) + "!"
	default:
		d.heard <- c.Reason
	}
}

// Swept implements source.Handler.
func (d *direct) Swept() {}

// Settled implements source.Handler.
func (d *direct) Settled(string) {}

// Lost implements source.Handler.
func (d *direct) Lost(reason string) { d.heard <- "lost: " + reason }

// next returns what the feed handed on next.
func (d *direct) next(t *testing.T) string {
	t.Helper()
	select {
	case s := <-d.heard:
		return s
	case <-time.After(rig.Limit):
		t.Fatal("the feed is silent")
		return ""
	}
}

func (d *direct) want(t *testing.T, all ...string) {
	t.Helper()
	for _, w := range all {
		if got := d.next(t); got != w {
			t.Fatalf("want %s, got %s", w, got)
		}
	}
}

// cut ends the feed's connections, the listener's too, and waits until the sweep has another.
func (d *direct) cut(t *testing.T) {
	t.Helper()
	before := d.feed.Stats.Reconnects.Load()
	d.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and application_name = 'rowfeed items'`)
	d.await(t, func() bool { return d.feed.Stats.Reconnects.Load() > before && d.feed.Stats.Connected.Load() })
}

// await waits until a counter says so.
func (d *direct) await(t *testing.T, ok func() bool) {
	t.Helper()
	limit := time.After(rig.Limit)
	for !ok() {
		select {
		case <-limit:
			t.Fatal("it does not come about")
		case <-time.After(time.Millisecond):
		}
	}
}
