//go:build linux

package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// evenly is the seed of changes that keep the same distance.
const evenly = 0

// pace calls do n times, at a rate per second, at moments that have nothing to do with each other (exponential gaps,
// the same ones for the same seed) or evenly. A call that comes late because the one before took long is made at once.
func pace(ctx context.Context, seed uint64, rate float64, n int, do func(i int) error) error {
	random := rand.New(rand.NewPCG(seed, 1))
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := time.Now()
	for i := range n {
		gap := 1.0
		if seed != evenly {
			gap = random.ExpFloat64()
		}
		next = next.Add(time.Duration(gap / rate * float64(time.Second)))
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}
