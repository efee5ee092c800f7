//go:build linux

package main

import (
	"fmt"

	"nalar.internal/rowfeed/test/bench/floor"
	"nalar.internal/rowfeed/test/measure"
)

// crowd starts a bridge and has as many subscribers of the whole table on it as are wanted.
func (s *stage) crowd(z sizes) (*side, error) {
	d, err := s.bridge(z.rows)
	if err != nil {
		return nil, err
	}
	return d, d.subscribe("stock", z.subscribers, "")
}

// crowdedFloor is the same for a floor.
func (s *stage) crowdedFloor(z sizes, o floor.Options) (*side, error) {
	d, err := s.floor(z.rows, o)
	if err != nil {
		return nil, err
	}
	return d, d.subscribe("", z.subscribers, "")
}

// saturation measures the CPU per delivery where everything waits in queues: one transaction changes every row.
func saturation(s *stage, z sizes) ([]figure, []string, error) {
	ours, err := s.crowd(z)
	if err != nil {
		return nil, nil, err
	}
	burst := func(d *side, _ int) (float64, error) {
		conn, err := d.connect()
		if err != nil {
			return 0, err
		}
		return d.cost(z.rows*z.subscribers, func() error {
			_, err := conn.Exec(s.ctx, "update inventory_stocklevel set quantity = quantity + 1, updated_at = now()")
			return err
		})
	}
	if _, err := burst(ours, 0); err != nil {
		return nil, nil, err
	}
	size, _ := ours.each()
	bare, err := s.crowdedFloor(z, floor.Options{Batch: true})
	if err != nil {
		return nil, nil, err
	}
	wide, err := s.crowdedFloor(z, floor.Options{Batch: true, Width: int(size) - 1})
	if err != nil {
		return nil, nil, err
	}
	values, err := alternate([]*side{ours, bare, wide}, "saturation", z.rounds, burst)
	if err != nil {
		return nil, nil, err
	}
	name := fmt.Sprintf("CPU per delivery, one transaction of %d rows to %d subscribers", z.rows, z.subscribers)
	return []figure{
		{name: name, unit: "µs", ours: values[0], against: values[1], other: "floor that batches", most: 1.5},
		{name: name, unit: "µs", ours: values[0], against: values[2], other: "the same with as many bytes as we send"},
	}, onTheWire("saturation", ours, bare, wide), nil
}

// steady measures the CPU per delivery where every change finds all queues empty.
func steady(s *stage, z sizes) ([]figure, []string, error) {
	ours, err := s.crowd(z)
	if err != nil {
		return nil, nil, err
	}
	bare, err := s.crowdedFloor(z, floor.Options{})
	if err != nil {
		return nil, nil, err
	}
	values, err := alternate([]*side{ours, bare}, "steady", z.rounds, func(d *side, _ int) (float64, error) {
		conn, err := d.connect()
		if err != nil {
			return 0, err
		}
		return d.cost(z.calm*z.subscribers, func() error {
			return pace(s.ctx, evenly, 20, z.calm, func(i int) error {
				_, err := conn.Exec(s.ctx, updateStock, i, 1+i%z.rows)
				return err
			})
		})
	})
	if err != nil {
		return nil, nil, err
	}
	return []figure{{
		name: fmt.Sprintf("CPU per delivery, 20 changes/s to %d subscribers", z.subscribers),
		unit: "µs", ours: values[0], against: values[1], other: "plain floor", most: 1.2,
	}}, onTheWire("steady", ours, bare), nil
}

// onTheWire says why the sides' costs differ: a frame holds more than the row, and not all batch alike.
func onTheWire(name string, sides ...*side) []string {
	text := "A delivery of `" + name + "` was"
	for i, d := range sides {
		bytes, calls := d.each()
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" %s bytes and %s system calls of the %s", measure.Digits(bytes), measure.Digits(calls), d.role)
	}
	return []string{text + "."}
}

// measurement is one round of one side.
type measurement func(d *side, round int) (float64, error)

// alternate measures each side in each round, in another order each time, after one round that does not count, and
// returns the values of each side. The first one is the bridge whose profile is of interest.
func alternate(sides []*side, name string, rounds int, measure measurement) ([][]float64, error) {
	values := make([][]float64, len(sides))
	for i := range rounds + 1 {
		if i == 1 {
			if err := sides[0].profile(name); err != nil {
				return nil, err
			}
		}
		for k := range sides {
			at := (i + k) % len(sides)
			value, err := measure(sides[at], i)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				values[at] = append(values[at], value)
			}
		}
	}
	return values, sides[0].profile("")
}
