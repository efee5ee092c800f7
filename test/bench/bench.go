//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/pgserver"
)

// sizes says how much is measured.
type sizes struct {
	rounds      int
	rows        int     // of the table
	rate        float64 // latency: changes a second
	changes     int     // latency: of a round; fanin: eight times as many
	subscribers int     // of one topic
	calm        int     // steady: changes of a round
	users, few  int     // fanin: sessions, and the few that they are compared with
	events      float64 // fanin: a second
	idle        int
	quiet       time.Duration // idle: how long is watched
	stock       int           // writes: rows of the table
	writers     []int         // writes: clients at the same time
	spell       time.Duration // writes: how long they write
}

var (
	full = sizes{rounds: 3, rows: 1000, rate: 100, changes: 250, subscribers: 5000, calm: 80, users: 5000, few: 50,
		events: 500, idle: 10_000, quiet: 20 * time.Second, stock: 100_000, writers: []int{1, 8, 32}, spell: 3 * time.Second}
	short = sizes{rounds: 3, rows: 200, rate: 100, changes: 100, subscribers: 1000, calm: 20, users: 1000, few: 50,
		events: 500, idle: 2000, quiet: 4 * time.Second, stock: 20_000, writers: []int{1, 8, 32}, spell: time.Second}
)

// benchmark measures something and returns its figures and what is to be said about them.
type benchmark struct {
	name     string
	run      func(*stage, sizes) ([]figure, []string, error)
	settings map[string]string // of the server, over its own
	apart    bool              // runs only when it is asked for by name
	limit    time.Duration     // of the whole; 0: most
}

var benchmarks = []benchmark{
	{name: "latency", run: latency}, {name: "saturation", run: saturation}, {name: "steady", run: steady},
	{name: "fanin", run: fanin}, {name: "idle", run: idle},
	{name: "writes", run: writes, settings: writesSettings, apart: true, limit: writesLimit},
}

// most bounds one benchmark that has no limit of its own.
const most = 3 * time.Minute

// run runs the benchmarks named in only (all, where it is empty) and prints a Markdown table to w; what it is at goes
// to progress.
func run(ctx context.Context, w, progress io.Writer, only []string, z sizes, profiles string) error {
	for _, name := range only {
		if !slices.ContainsFunc(benchmarks, func(b benchmark) bool { return b.name == name }) {
			return fmt.Errorf("no benchmark %q: there are latency, saturation, steady, fanin, idle and writes", name)
		}
	}
	var all result
	var failed []error
	for _, b := range benchmarks {
		if !slices.Contains(only, b.name) && (b.apart || len(only) > 0) {
			continue
		}
		fmt.Fprintf(progress, "%s …", b.name)
		start := time.Now()
		r, err := b.measure(ctx, z, profiles)
		fmt.Fprintf(progress, " %.0f s\n", time.Since(start).Seconds())
		if err != nil {
			failed = append(failed, fmt.Errorf("measure %s: %w", b.name, err))
			r.figures = []figure{{name: b.name + ": not measured"}}
		}
		all.figures, all.notes = append(all.figures, r.figures...), append(all.notes, r.notes...)
		all.version = cmp.Or(r.version, all.version)
	}
	all.print(w)
	if missed := all.missed(); len(failed) == 0 && len(missed) > 0 {
		return &barsError{missed}
	}
	return errors.Join(failed...)
}

// barsError says which figures, all of them measured, are beyond their bars.
type barsError struct{ missed []string }

func (e *barsError) Error() string { return "bars not held: " + strings.Join(e.missed, "; ") }

// result is what benchmarks came to.
type result struct {
	figures []figure
	notes   []string
	version string // of PostgreSQL
}

// missed are the names of the figures whose bars are not held.
func (r *result) missed() []string {
	var names []string
	for _, f := range r.figures {
		if !f.held() {
			names = append(names, f.name)
		}
	}
	return names
}

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "| figure | rowfeed | against | ratio | bar |\n| --- | --- | --- | --- | --- |\n")
	for _, f := range r.figures {
		f.row(w)
	}
	fmt.Fprintf(w, "\nMedians of alternating rounds in one run, (min–max) beside them. "+
		"%s, %d cores, Linux %s, PostgreSQL %s with fsync and synchronous_commit on, %s; "+
		"server, bridge, floor and clients share the machine, over loopback TCP.\n",
		processor(), runtime.NumCPU(), kernel(), r.version, runtime.Version())
	for _, n := range r.notes {
		fmt.Fprintln(w, n)
	}
}

// measure runs one benchmark on a stage of its own.
func (b benchmark) measure(ctx context.Context, z sizes, profiles string) (r result, err error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(b.limit, most))
	defer cancel()
	s, err := newStage(ctx, profiles, b.settings)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	conn, err := pgx.Connect(ctx, s.server.URL("postgres", pgserver.Superuser))
	if err != nil {
		return r, fmt.Errorf("connect: %w", err)
	}
	r.version, _, _ = strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	if err := conn.Close(ctx); err != nil {
		return r, err
	}
	r.figures, r.notes, err = b.run(s, z)
	return r, err
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	version, _, _ := strings.Cut(strings.TrimSpace(string(text)), "-")
	return version
}
