//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
)

// assignment changes tasks, each of which is one user's: a few connections, as an ERP has, each with users of its own,
// so that each user's steps are committed in order.
type assignment struct {
	d     *side
	conns []*pgx.Conn
	steps []int // of each user, the last one committed
}

const writers = 4

func newAssignment(d *side, users int) (*assignment, error) {
	a := &assignment{d: d, steps: make([]int, users)}
	for range writers {
		conn, err := d.connect()
		if err != nil {
			return nil, err
		}
		a.conns = append(a.conns, conn)
	}
	return a, nil
}

// run makes n changes at a rate per second, each to one random user's task.
func (a *assignment) run(seed uint64, rate float64, n int) error {
	ctx := a.d.stage.ctx
	failed := make(chan error, writers)
	for w := range writers {
		go func() {
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			mine := (len(a.steps) - w + writers - 1) / writers
			failed <- pace(ctx, seed+uint64(w), rate/writers, n/writers, func(int) error {
				user := w + writers*random.IntN(mine)
				a.steps[user]++
				_, err := a.conns[w].Exec(ctx, "update task set step = $1 where id = $2", a.steps[user], user+1)
				return err
			})
		}()
	}
	var errs []error
	for range writers {
		errs = append(errs, <-failed)
	}
	return errors.Join(errs...)
}

// verify compares what each client heard of with what was committed. The clients themselves have checked that nothing
// was another's, came twice or out of order.
func (a *assignment) verify() error {
	text, err := a.d.clients.ask(a.d.stage.ctx, "steps")
	if err != nil {
		return err
	}
	var heard []int
	if err := json.Unmarshal([]byte(text), &heard); err != nil {
		return fmt.Errorf("read steps: %w", err)
	}
	for user, step := range a.steps {
		if heard[user] != step {
			return fmt.Errorf("user %d heard of step %d, committed: %d", user+1, heard[user], step)
		}
	}
	return nil
}

// fanin measures whether an event costs more when more people are connected whom it does not concern.
func fanin(s *stage, z sizes) ([]figure, []string, error) {
	var assignments []*assignment
	var idle [2]float64
	for i, users := range []int{z.users, z.few} {
		d, err := s.bridge(z.users)
		if err != nil {
			return nil, nil, err
		}
		if err := d.subscribe("tasks", users, ""); err != nil {
			return nil, nil, err
		}
		a, err := newAssignment(d, users)
		if err != nil {
			return nil, nil, err
		}
		assignments = append(assignments, a)
		if idle[i], err = d.load(z.quiet / 4); err != nil {
			return nil, nil, err
		}
	}
	many, few := assignments[0], assignments[1]
	values, err := alternate([]*side{many.d, few.d}, "fanin", z.rounds, func(d *side, round int) (float64, error) {
		a := many
		if d == few.d {
			a = few
		}
		n := z.changes * 8 / writers * writers
		return d.cost(n, func() error { return a.run(uint64(round), z.events, n) })
	})
	if err != nil {
		return nil, nil, err
	}
	total := 0
	for _, a := range assignments {
		if err := a.verify(); err != nil {
			return nil, nil, err
		}
		total += a.d.expected
	}
	notes := []string{
		fmt.Sprintf("Of the %d events of `fanin` each reached the one session that it was for, once and in order, "+
			"and nobody else.", total),
		fmt.Sprintf("Its sessions at rest cost %.1f ms of CPU a second (%d) and %.1f ms (%d); that is part of the figure.",
			idle[0]/1000, z.users, idle[1]/1000, z.few),
	}
	return []figure{{
		name: fmt.Sprintf("CPU per event, %.0f/s, each to one of %d sessions with an audience of its own", z.events, z.users),
		unit: "µs", ours: values[0], against: values[1], other: fmt.Sprintf("%d sessions", z.few), most: 1.5,
	}}, notes, nil
}
