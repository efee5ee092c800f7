//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nalar.internal/rowfeed/test/pgserver"
)

// migrating takes everything out of the database and puts it in again, changes a rule and the retention, by the real
// program, while the ERP writes: none of its writes may fail, nor wait for longer than lock_timeout.
func migrating(ctx context.Context, s *stage, rate float64, held time.Duration, rounds int) ([]figure, []string, error) {
	m := &migration{s: s, traffic: &traffic{s: s, rate: rate, held: held}}
	if err := m.traffic.fill(ctx); err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(s.config)
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	m.changed = filepath.Join(s.dir, "changed.yaml")
	for _, columns := range [][2]string{{"[id, n, mark]", "[id, n]"}, {"[id, digit, n]", "[id, n, digit]"}} {
		text = bytes.ReplaceAll(text, []byte(columns[0]), []byte(columns[1]))
	}
	if err := os.WriteFile(m.changed, text, 0o600); err != nil {
		return nil, nil, fmt.Errorf("write configuration: %w", err)
	}
	title := fmt.Sprintf("migrate up, down, with another rule and another retention, under %.0f writes/s and transactions that hold "+
		"their locks for %s: ", rate, held)
	waited := figure{name: title + "the longest that a write waited", unit: "ms", bar: 2100} // lock_timeout, and a little
	calm := figure{name: "the same without: the longest that a write waited", unit: "ms", bar: none}
	failed, writes := 0, 0
	for range rounds {
		for _, do := range []struct {
			f    *figure
			what func() error
		}{
			{&calm, func() error { return pause(ctx, 2*held) }},
			{&waited, func() error { return m.round(ctx) }},
		} {
			t := &traffic{s: s, rate: rate, held: held}
			if err := t.during(ctx, do.what); err != nil {
				return nil, nil, err
			}
			do.f.values = append(do.f.values, slices.Max(append(t.writes, 0)))
			failed += len(t.failed)
			writes += len(t.writes)
			if err := t.failures(); err != nil {
				m.notes = append(m.notes, err.Error())
			}
		}
	}
	note := fmt.Sprintf("%s%d writes; %d times a step did not get its lock in time, and was tried again.", title, writes, m.again)
	return []figure{count(title+"writes that failed", failed, 0), waited, calm}, append(m.notes, note), nil
}

// migration is the program's migrations.
type migration struct {
	s       *stage
	traffic *traffic
	changed string // a configuration with other rules
	again   int    // steps that were tried again
	notes   []string
}

// round ends with what it began with.
func (m *migration) round(ctx context.Context) error {
	for _, step := range []struct {
		verb, config string
		environ      []string
	}{
		{"down", m.s.config, nil}, {"up", m.s.config, nil}, {"up", m.changed, nil},
		{"up", m.changed, []string{"ROWFEED_DATABASE_RETENTION=20m"}}, {"up", m.s.config, nil},
	} {
		cmd := exec.CommandContext(ctx, m.s.program, "migrate", step.verb, "-c", step.config)
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "ROWFEED_DATABASE_ADMIN_URL=" + m.s.server.URL(database, pgserver.Superuser)},
			append(slices.Clone(m.s.environ), step.environ...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("migrate %s: %w\n%s", step.verb, err, out)
		}
		m.again += strings.Count(string(out), "locked by others")
	}
	return nil
}
