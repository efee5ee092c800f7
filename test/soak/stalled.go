//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"nalar.internal/rowfeed/test/measure"
)

// stalled measures how long the ERP's commits take while the bridge runs, stands still, comes back to what it has missed, and is
// dead: one after the other, in rounds, so that what else the machine does concerns all.
func stalled(ctx context.Context, s *stage, rate float64, window time.Duration, behind, rounds int) ([]figure, []string, error) {
	fill := &traffic{s: s, rate: rate}
	if err := fill.fill(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.exec(ctx, database, "insert into item select -i, 1, 'm0' from generate_series(1, $1::int) i", behind); err != nil {
		return nil, nil, err
	}
	if err := s.caughtUp(ctx); err != nil {
		return nil, nil, err
	}
	size := figure{name: "the outbox of a dead bridge grows, for each change of three small columns, by", unit: "bytes", bar: none}
	states := []struct {
		name  string
		enter func() error
	}{
		{"runs", func() error { return nil }},
		{"still runs: what is noise", func() error { return nil }},
		{"is stopped (SIGSTOP)", func() error { return s.signal(syscall.SIGSTOP) }},
		{fmt.Sprintf("is stopped and %d changes behind", behind), func() error {
			before, err := s.outboxSize(ctx)
			if err != nil {
				return err
			}
			if err := s.exec(ctx, database, "update item set n = n + 1 where id < 0"); err != nil {
				return err
			}
			after, err := s.outboxSize(ctx)
			size.values = append(size.values, float64(after-before)/float64(behind))
			return err
		}},
		{"goes on and catches up with them", func() error { return s.signal(syscall.SIGCONT) }},
		{"is killed", s.crash},
	}
	title := fmt.Sprintf("p99 of the ERP's commits, %.0f writes/s, while the bridge ", rate)
	figures := make([]figure, 1, 2*len(states))
	for i, state := range states {
		figures = append(figures, figure{name: title + state.name, unit: "ms", bar: none})
		if i > 0 {
			figures = append(figures, figure{name: "that in times of what it is while the bridge runs", unit: "×", bar: 1.5})
		}
	}
	failed := 0
	for range rounds {
		var runs float64
		for i, state := range states {
			if err := state.enter(); err != nil {
				return nil, nil, err
			}
			t := &traffic{s: s, rate: rate}
			if err := t.during(ctx, func() error { return pause(ctx, window) }); err != nil {
				return nil, nil, err
			}
			failed += len(t.failed)
			p99 := measure.Quantile(t.commits, 0.99)
			if i == 0 {
				runs = p99
				figures[1].values = append(figures[1].values, p99)
				continue
			}
			figures[2*i].values = append(figures[2*i].values, p99)
			figures[2*i+1].values = append(figures[2*i+1].values, p99/runs)
		}
		if err := errors.Join(s.start(ctx), s.caughtUp(ctx)); err != nil {
			return nil, nil, err
		}
	}
	figures[0] = count(title+"runs, is stopped, dead or behind: writes that failed", failed, 0)
	return append(figures, size), nil, nil
}

// outboxSize is what the outbox takes on the disk, in bytes, its index included.
func (s *stage) outboxSize(ctx context.Context) (size int64, err error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, `select sum(pg_total_relation_size(oid))::int8 from pg_class
		where relnamespace = 'rowfeed'::regnamespace and relkind = 'r' and relname like 'change%'`).Scan(&size)
	if err != nil {
		return 0, fmt.Errorf("read the outbox's size: %w", err)
	}
	return size, nil
}

// signal sends the bridge a signal.
func (p *process) signal(sig syscall.Signal) error {
	if err := syscall.Kill(p.pid, sig); err != nil {
		return fmt.Errorf("signal bridge: %w", err)
	}
	return nil
}

// caughtUp waits, while nothing is written, until the bridge has handed on all that there is: two more sweeps find nothing.
func (s *stage) caughtUp(ctx context.Context) error {
	changes, until := -1.0, 0.0
	return await(ctx, 3*patience, func() (bool, error) {
		sweeps, err := s.metric("rowfeed_source_sweeps_total", `"items"`)
		if err != nil || sweeps < until {
			return false, err
		}
		now, err := s.metric("rowfeed_source_changes_total", `"items"`)
		done := now == changes
		changes, until = now, sweeps+2
		return done, err
	})
}
