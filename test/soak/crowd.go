//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// crowd is clients that run.
type crowd struct {
	clients []*client
	stop    func()
}

// gather runs the clients until stop.
func gather(ctx context.Context, clients []*client) *crowd {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, c := range clients {
		c.ids, c.versions, c.known = map[string]struct{}{}, map[version]struct{}{}, map[version]struct{}{}
		all.Go(func() { c.run(ctx) })
	}
	return &crowd{clients: clients, stop: func() { cancel(); all.Wait() }}
}

// await waits until all clients say so.
func (c *crowd) await(ctx context.Context, what string, most time.Duration, done func(*client) (bool, error)) error {
	next := 0
	err := await(ctx, most, func() (bool, error) {
		for ; next < len(c.clients); next++ {
			if ok, err := done(c.clients[next]); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s of %s: %w", what, c.clients[min(next, len(c.clients)-1)].name, err)
	}
	return nil
}

// tally sums what happened to all.
func (c *crowd) tally() (sum tally) {
	for _, one := range c.clients {
		one.mu.Lock()
		sum.add(one.tally)
		one.mu.Unlock()
	}
	return sum
}
