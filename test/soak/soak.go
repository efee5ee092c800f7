//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"nalar.internal/rowfeed/test/pgserver"
)

// sizes says how much is done.
type sizes struct {
	times int           // faults of an ordeal
	rate  float64       // changes a second
	calm  time.Duration // between two faults
	held  time.Duration // late transactions

	histories, lanes int
	storm, rounds    int // clients that come back at once
	mute             int // clients that never read
	flood, outbox    int // rows
	open             time.Duration

	writes float64       // of the ERP, a second
	locks  time.Duration // its long transactions hold theirs
	window time.Duration // in which one p99 of its commits is taken
	behind int           // changes that the bridge has to catch up with

	crossings            int // of channels from quiet to busy
	watched, revocations int // sessions; one user's, and as many tenths of everybody's
}

var (
	full = sizes{times: 10, rate: 500, calm: 2 * time.Second, held: 4 * time.Second,
		histories: 10_000, lanes: 16, storm: 10_000, rounds: 3,
		mute: 16, flood: 100_000, outbox: 10_000_000, open: time.Minute,
		writes: 1000, locks: 5 * time.Second, window: 10 * time.Second, behind: 1_000_000,
		watched: 5000, revocations: 200, crossings: 1000}
	short = sizes{times: 2, rate: 250, calm: 400 * time.Millisecond, held: 600 * time.Millisecond,
		histories: 320, lanes: 8, storm: 500, rounds: 1,
		mute: 3, flood: 3000, outbox: 200_000, open: 2 * time.Second,
		writes: 200, locks: 600 * time.Millisecond, window: time.Second, behind: 20_000,
		watched: 200, revocations: 20, crossings: 50}
)

// scenario attacks something and returns its figures and what is to be said about them.
type scenario struct {
	name string
	run  func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error)
}

var scenarios = []scenario{
	{"killed", under("killed")}, {"terminated", under("terminated")}, {"crashed", under("crashed")}, {"cut", under("cut")},
	{"histories", func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		return histories(ctx, s, z.histories, z.lanes, "")
	}},
	{"paged", func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		if err := s.shrink(ctx); err != nil {
			return nil, nil, err
		}
		return histories(ctx, s, z.histories/4, z.lanes, ", most of the past read from the outbox")
	}},
	{"storm", func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		return storm(ctx, s, z.storm, z.rounds)
	}},
	{"mute", func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		return mute(ctx, s, z.mute, z.rounds)
	}},
	{"flood", func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		return flood(ctx, s, z.flood, z.rounds)
	}},
	{"revoked", func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		return revoked(ctx, s, z.watched, z.revocations)
	}},
	{"modes", func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		return modes(ctx, s, z.crossings)
	}},
	{"sweep", func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		return sweeping(ctx, s, z.outbox, z.rounds, z.open)
	}},
	{"migrate", func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		return migrating(ctx, s, z.writes, z.locks, z.rounds)
	}},
	{"stalled", func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		return stalled(ctx, s, z.writes, z.window, z.behind, z.rounds)
	}},
	{"queue", func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		return queueing(ctx, s, z.writes, z.window)
	}},
}

func under(name string) func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
	return func(ctx context.Context, s *stage, z sizes) ([]figure, []string, error) {
		return ordeal{attack: attacks[name], times: z.times, rate: z.rate, calm: z.calm, held: z.held}.run(ctx, s)
	}
}

// most bounds one scenario.
const most = 20 * time.Minute

// run runs the scenarios named in only (all, where it is empty) and prints a Markdown table to w; what it is at goes to
// progress. It fails where a figure is not as it must be.
func run(ctx context.Context, w, progress io.Writer, only []string, z sizes) error {
	for _, name := range only {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			return fmt.Errorf("no scenario %q: there are %s", name, strings.Join(names(), ", "))
		}
	}
	dir, err := os.MkdirTemp("", "rowfeed-soak-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "rowfeed")
	if err := build(ctx, program); err != nil {
		return err
	}
	fmt.Fprintf(w, "| what is done | figure | bar |\n| --- | --- | --- |\n")
	var notes []string
	var failed []error
	for _, sc := range scenarios {
		if len(only) > 0 && !slices.Contains(only, sc.name) {
			continue
		}
		fmt.Fprintf(progress, "%s …", sc.name)
		start := time.Now()
		figures, more, err := sc.attempt(ctx, program, z)
		fmt.Fprintf(progress, " %.0f s\n", time.Since(start).Seconds())
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", sc.name, err))
			fmt.Fprintf(w, "| %s: not measured | — | — |\n", sc.name)
		}
		for i := range figures {
			figures[i].row(w)
			if !figures[i].holds() {
				failed = append(failed, fmt.Errorf("%s: %w", figures[i].name, errJudged))
			}
		}
		notes = append(notes, more...)
	}
	fmt.Fprintf(w, "\n%s, %d cores, %s; PostgreSQL with fsync on; server, bridge, writers and clients share the machine.\n",
		runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	for _, n := range notes {
		fmt.Fprintln(w, n)
	}
	return errors.Join(failed...)
}

// attempt runs a scenario on a stage of its own.
func (sc scenario) attempt(ctx context.Context, program string, z sizes) ([]figure, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	options := sc.server()
	if sc.name == "queue" {
		var err error
		if options.BinDir, err = queueServer(ctx); err != nil {
			return nil, nil, err
		}
	}
	s, err := newStage(ctx, program, options)
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	return sc.run(ctx, s, z)
}

// server returns the server that a scenario wants.
func (sc scenario) server() pgserver.Options {
	switch sc.name {
	case "crashed": // what is not flushed at once stays so for long
		return pgserver.Options{Durable: true, Settings: map[string]string{"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}}
	case "storm":
		return pgserver.Options{Durable: true, Settings: map[string]string{"log_statement": "all", "log_line_prefix": "%u|"}}
	case "queue":
		return pgserver.Options{Durable: true, Settings: map[string]string{"max_notify_queue_pages": "64"}} // the fewest
	case "histories", "paged":
		return pgserver.Options{}
	default:
		return pgserver.Options{Durable: true}
	}
}

func names() (all []string) {
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return all
}
