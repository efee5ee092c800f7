//go:build linux

package main

import "fmt"

// sides starts a bridge and a floor, each with as many subscribers of the whole table.
func (s *stage) sides(z sizes, batch bool) (ours, floor *side, err error) {
	if ours, err = s.bridge(z.rows); err != nil {
		return nil, nil, err
	}
	if floor, err = s.floor(z.rows, batch); err != nil {
		return nil, nil, err
	}
	for _, d := range []*side{ours, floor} {
		if err := d.subscribe("stock", z.subscribers, ""); err != nil {
			return nil, nil, err
		}
	}
	return ours, floor, nil
}

// saturation measures the CPU per delivery where everything waits in queues: one transaction changes every row.
func saturation(s *stage, z sizes) ([]figure, []string, error) {
	ours, floor, err := s.sides(z, true)
	if err != nil {
		return nil, nil, err
	}
	f := figure{name: fmt.Sprintf("CPU per delivery, one transaction of %d rows to %d subscribers", z.rows, z.subscribers),
		unit: "µs", other: "floor that batches", most: 1.5}
	err = alternate(&f, ours, floor, "saturation", z.rounds, func(d *side, round int) (float64, error) {
		return d.cost(z.rows*z.subscribers, func() error {
			conn, err := d.connect()
			if err != nil {
				return err
			}
			_, err = conn.Exec(s.ctx, "update inventory_stocklevel set quantity = quantity + 1, updated_at = now()")
			return err
		})
	})
	return []figure{f}, onTheWire("saturation", ours, floor), err
}

// onTheWire says why the sides' costs differ: a frame holds more than the row, and not all batch alike.
func onTheWire(name string, ours, floor *side) []string {
	return []string{fmt.Sprintf("A delivery of `%s` was %s of the bridge, %s of the floor.", name, ours.writing(), floor.writing())}
}

// steady measures the CPU per delivery where every change finds all queues empty.
func steady(s *stage, z sizes) ([]figure, []string, error) {
	ours, floor, err := s.sides(z, false)
	if err != nil {
		return nil, nil, err
	}
	f := figure{name: fmt.Sprintf("CPU per delivery, 20 changes/s to %d subscribers", z.subscribers),
		unit: "µs", other: "plain floor", most: 1.2}
	err = alternate(&f, ours, floor, "steady", z.rounds, func(d *side, round int) (float64, error) {
		return d.cost(z.calm*z.subscribers, func() error {
			conn, err := d.connect()
			if err != nil {
				return err
			}
			return pace(s.ctx, uint64(round), 20, z.calm, func(i int) error {
				_, err := conn.Exec(s.ctx, updateStock, i, 1+i%z.rows)
				return err
			})
		})
	})
	return []figure{f}, onTheWire("steady", ours, floor), err
}

// alternate measures both sides in each round, the first one changing too, after one of each that does not count.
func alternate(f *figure, ours, other *side, name string, rounds int, measure func(*side, int) (float64, error)) error {
	for i := range rounds + 1 {
		if i == 1 {
			if err := ours.profile(name); err != nil {
				return err
			}
		}
		for k := range 2 {
			d, to := ours, &f.ours
			if (i+k)%2 == 1 {
				d, to = other, &f.against
			}
			value, err := measure(d, i)
			if err != nil {
				return err
			}
			if i > 0 {
				*to = append(*to, value)
			}
		}
	}
	return ours.profile("")
}
