//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/measure"
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
	f := &flooded{s: s, conn: conn, client: c, rows: rows}
	if err := f.arrived(ctx, rows); err != nil {
		return nil, nil, fmt.Errorf("wait for the inserts: %w", err)
	}
	if err := all.await(ctx, "a cursor", patience, (*client).placed); err != nil {
		return nil, nil, err
	}
	if f.probe, err = newProbe(ctx, s); err != nil {
		return nil, nil, err
	}
	defer f.probe.close()
	f.name(rows)
	var late error
	for n := 2; n < rounds+2 && late == nil; n++ {
		if late, err = f.round(ctx, n*rows); err != nil {
			return nil, nil, err
		}
	}
	all.stop()
	t := all.tally()
	lost := 0
	if late != nil {
		lost = (len(f.took.values)+2)*rows - len(c.log)
	}
	name := f.title
	note := fmt.Sprintf("%s%d connections, %d times closed as a slow consumer, %d resumed, %d events came again and were dropped by id.",
		name, t.connections, t.slow, t.resumed, t.repeats)
	return []figure{
		count(name+"lost", lost, 0), count(name+"twice on one connection", t.twice, 0),
		count(name+"told to fetch afresh", t.resyncs+t.refused, 0), f.peak, f.p99, f.during, f.without, f.took,
	}, []string{note}, nil
}

// flooded is a flood that goes on.
type flooded struct {
	s      *stage
	conn   *pgx.Conn
	client *client
	probe  *probe
	rows   int
	title  string

	p99, during, without, took, peak figure
}

func (f *flooded) name(rows int) {
	f.title = fmt.Sprintf("one update of %d rows: ", rows)
	row := func(what, unit string, bar float64) figure { return figure{name: f.title + what, unit: unit, bar: bar} }
	f.p99 = row("p99 of another channel's events, in times of that during the same update of a table that nobody watches", "×", 2)
	f.during, f.without = row("that p99", "ms", none), row("and that one", "ms", none)
	f.took = row("until the last of it has arrived", "s", none)
	f.peak = row("peak of the bridge's memory over that before", "MB", 64)
}

// arrived waits until the client has got so many changes.
func (f *flooded) arrived(ctx context.Context, n int) error {
	return await(ctx, 2*patience, func() (bool, error) {
		f.client.mu.Lock()
		defer f.client.mu.Unlock()
		return len(f.client.log) >= n, f.client.ended
	})
}

// round updates the rows, after which the client is to have got so many changes in all; late is why it has not.
func (f *flooded) round(ctx context.Context, total int) (late, err error) {
	calm, err := f.probe.while(ctx, func() error {
		_, err := f.conn.Exec(ctx, "update pile set n = n + 1")
		return err
	})
	if err != nil {
		return nil, err
	}
	before, err := f.s.memory("VmRSS")
	if err != nil {
		return nil, err
	}
	if err := f.s.resetPeak(); err != nil {
		return nil, err
	}
	start := time.Now()
	busy, err := f.probe.while(ctx, func() error {
		if _, err := f.conn.Exec(ctx, "update item set n = n + 1 where id > 0"); err != nil {
			return err
		}
		late = f.arrived(ctx, total)
		return nil
	})
	if err != nil || late != nil {
		return late, err
	}
	took := time.Since(start).Seconds()
	high, err := f.s.memory("VmHWM")
	if err != nil {
		return nil, err
	}
	a, b := measure.Quantile(busy, 0.99), measure.Quantile(calm, 0.99)
	f.p99.values, f.during.values, f.without.values = append(f.p99.values, a/b), append(f.during.values, a), append(f.without.values, b)
	f.took.values, f.peak.values = append(f.took.values, took), append(f.peak.values, float64(high-before)/1024)
	return nil, nil
}
