//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// flood changes so many rows by one statement: a client that is closed for being slow has to get them all, while
// another channel's subscriber feels nothing.
func flood(ctx context.Context, s *stage, rows, rounds int) ([]figure, []string, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	c := &client{
		name: "client", address: func() string { return s.address }, channel: "items", topics: []string{""},
		token: token(jwt.MapClaims{"user_id": 1, "roles": []string{"all"}}),
	}
	all := gather(ctx, []*client{c})
	defer all.stop()
	if err := s.beacon(ctx, all, 0); err != nil {
		return nil, nil, err
	}
	for _, statement := range []string{
		"insert into item select i, 1, 'm0' from generate_series(1, $1) i",
		// The same work for the database, which nobody watches.
		"create table pile as select i as id, 1 as n, 'm0'::varchar(40) as mark from generate_series(1, $1) i",
	} {
		if _, err := conn.Exec(ctx, statement, rows); err != nil {
			return nil, nil, fmt.Errorf("fill table: %w", err)
		}
	}
	arrived := func(n int) error {
		return await(ctx, 2*patience, func() (bool, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return len(c.log) >= n, c.ended
		})
	}
	if err := arrived(rows); err != nil {
		return nil, nil, fmt.Errorf("wait for the inserts: %w", err)
	}
	if err := all.await(ctx, "a cursor", patience, (*client).placed); err != nil {
		return nil, nil, err
	}
	p, err := newProbe(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	defer p.close()
	name := fmt.Sprintf("one update of %d rows: ", rows)
	p99 := figure{name: name + "p99 of another channel's events, in times of that during the same update of a table that nobody watches",
		unit: "×", bar: 2}
	during, without := figure{name: name + "that p99", unit: "ms", bar: none}, figure{name: name + "and that one", unit: "ms", bar: none}
	took := figure{name: name + "until the last of it has arrived", unit: "s", bar: none}
	peak := figure{name: name + "peak of the bridge's memory over that before", unit: "MB", bar: 64}
	lost := 0
	for round := range rounds {
		calm, err := p.while(ctx, func() error {
			_, err := conn.Exec(ctx, "update pile set n = n + 1")
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		before, err := s.memory("VmRSS")
		if err != nil {
			return nil, nil, err
		}
		if err := s.resetPeak(); err != nil {
			return nil, nil, err
		}
		start := time.Now()
		busy, err := p.while(ctx, func() error {
			if _, err := conn.Exec(ctx, "update item set n = n + 1 where id > 0"); err != nil {
				return err
			}
			return arrived((round + 2) * rows)
		})
		if err != nil {
			c.mu.Lock()
			lost += (round+2)*rows - len(c.log)
			c.mu.Unlock()
			break
		}
		took.values = append(took.values, time.Since(start).Seconds())
		high, err := s.memory("VmHWM")
		if err != nil {
			return nil, nil, err
		}
		a, b := quantile(busy, 0.99), quantile(calm, 0.99)
		p99.values, during.values, without.values = append(p99.values, a/b), append(during.values, a), append(without.values, b)
		peak.values = append(peak.values, float64(high-before)/1024)
	}
	t := all.tally()
	note := fmt.Sprintf("%s%d connections, %d times closed as a slow consumer, %d resumed, %d events came again and were dropped by id.",
		name, t.connections, t.slow, t.resumed, t.repeats)
	return []figure{
		count(name+"lost", lost, 0), count(name+"twice on one connection", t.twice, 0), count(name+"told to fetch afresh", t.resyncs+t.refused, 0),
		peak, p99, during, without, took,
	}, []string{note}, nil
}
