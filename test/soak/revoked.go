//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/measure"
)

// grantEnviron has grants come from the database.
var grantEnviron = []string{
	"ROWFEED_AUTH_GRANTS_QUERY=select 'role:' || t.name from team t join member m on m.team = t.id where m.person = $1::int",
	`ROWFEED_AUTH_GRANTS_TABLES={member: person, team: ""}`,
}

// pulseEvery is between two changes that all who may are told of.
const pulseEvery = 100 * time.Millisecond

// witness is a client that is told when what it may see has changed, and notes what it hears after that.
type witness struct {
	raw
	waits  bool // for the news
	gone   bool // and has been told that it may see nothing any more
	events int
}

// vigil is a swarm whose grants are taken away and given back.
type vigil struct {
	swarm *swarm
	conn  *pgx.Conn
	all   []*witness
	began time.Time
	left  int // of those who wait
	away  bool
	leaks int
	took  []float64 // milliseconds from before the statement to the news
}

// revoked measures how long after a change of the tables behind the grants a session has gone quiet, while all of them
// receive: where one user is concerned, and where everybody is.
func revoked(ctx context.Context, s *stage, count, times int) ([]figure, []string, error) {
	if err := raiseFiles(uint64(count) + 1000); err != nil {
		return nil, nil, err
	}
	if err := s.crash(); err != nil {
		return nil, nil, err
	}
	s.environ = append(s.environ, grantEnviron...)
	if err := s.install(ctx, s.process); err != nil {
		return nil, nil, err
	}
	if err := s.exec(ctx, database, fmt.Sprintf("insert into team values (1, 'all'); "+
		"insert into member select i, 1 from generate_series(1, %d) i; analyze member", count)); err != nil {
		return nil, nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, nil, err
	}
	v := &vigil{}
	var err error
	if v.conn, err = s.connect(ctx); err != nil {
		return nil, nil, err
	}
	defer v.conn.Close(context.WithoutCancel(ctx))
	if err := v.gather(ctx, s.address, count); err != nil {
		return nil, nil, err
	}
	defer v.swarm.close()
	stop := s.pulse(ctx)
	figures, err := v.watch(ctx, times)
	return figures, nil, errorOr(err, stop())
}

func errorOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// pulse changes a row that all who may are told of, again and again, until stop.
func (s *stage) pulse(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() {
		failed <- func() error {
			conn, err := s.connect(ctx)
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx))
			for ctx.Err() == nil {
				if _, err := conn.Exec(ctx, "update pulse set n = n + 1 where id = 1"); err != nil && ctx.Err() == nil {
					return fmt.Errorf("write pulse: %w", err)
				}
				_ = pause(ctx, pulseEvery)
			}
			return nil
		}()
	}()
	return func() error { cancel(); return <-failed }
}

// gather connects the clients.
func (v *vigil) gather(ctx context.Context, address string, count int) (err error) {
	clients := make([]*raw, count)
	for i := range clients {
		w := &witness{}
		w.number, w.token = i+1, token(jwt.MapClaims{"user_id": i + 1})
		w.subscribe = `{"type":"subscribe","ref":"1","channel":"pulses"}`
		w.heard = func([]byte) error {
			w.events++
			if w.gone {
				v.leaks++
			}
			return nil
		}
		w.regranted = func() error { return v.told(w) }
		v.all, clients[i] = append(v.all, w), &w.raw
	}
	if v.swarm, err = newSwarm(clients, address); err != nil {
		return err
	}
	_, err = v.swarm.connect(ctx, func(r *raw) bool { return r.subscribed })
	return err
}

func (v *vigil) told(w *witness) error {
	if !w.waits {
		return fmt.Errorf("told that its grants have changed, which they have not")
	}
	w.waits, w.gone = false, v.away
	v.left--
	if v.away {
		v.took = append(v.took, float64(time.Since(v.began).Microseconds())/1000)
	}
	return nil
}

// watch takes grants away and gives them back.
func (v *vigil) watch(ctx context.Context, times int) ([]figure, error) {
	var figures []figure
	for i := range times {
		w := v.all[i*37%len(v.all)]
		if err := v.change(ctx, true, []*witness{w}, "delete from member where person = $1", w.number); err != nil {
			return nil, err
		}
		if err := v.change(ctx, false, []*witness{w}, "insert into member values ($1, 1)", w.number); err != nil {
			return nil, err
		}
	}
	figures = append(figures, v.figures(fmt.Sprintf("one of %d users loses what they may see, %d times: ", len(v.all), times))...)
	for range max(1, times/10) {
		if err := v.change(ctx, true, v.all, "update team set name = $1 where id = 1", "none"); err != nil {
			return nil, err
		}
		if err := v.change(ctx, false, v.all, "update team set name = $1 where id = 1", "all"); err != nil {
			return nil, err
		}
	}
	name := fmt.Sprintf("all %d users at once lose what they may see, %d times: ", len(v.all), max(1, times/10))
	return append(figures, v.figures(name)...), nil
}

// figures returns those of the revocations since the last call.
func (v *vigil) figures(name string) []figure {
	took := v.took
	v.took = nil
	p50, p99 := measure.Quantile(took, 0.5), measure.Quantile(took, 0.99)
	return []figure{
		{name: name + "p99 from the statement to the resync, after which nothing of it comes", values: []float64{p99}, unit: "ms", bar: 1000},
		{name: name + "the median", values: []float64{p50}, unit: "ms", bar: none},
		{name: name + "the longest", values: []float64{slices.Max(took)}, unit: "ms", bar: none},
		count(name+"frames of it after that", v.leaks, 0),
	}
}

// change runs a statement, reads until all whom it concerns have been told, and then until all who may see something have
// been told of a change that was written after that.
func (v *vigil) change(ctx context.Context, away bool, who []*witness, sql string, args ...any) error {
	v.away, v.left = away, len(who)
	for _, w := range who {
		w.waits = true
	}
	done := make(chan error, 1)
	v.began = time.Now()
	go func() {
		_, err := v.conn.Exec(ctx, sql, args...)
		done <- err
	}()
	err := v.swarm.until(ctx, func() bool { return v.left == 0 })
	if e := <-done; e != nil {
		return fmt.Errorf("change grants: %w", e)
	}
	if err != nil {
		return fmt.Errorf("wait for %d who are to be told: %w", v.left, err)
	}
	var last []int
	for _, w := range v.all {
		if !w.gone {
			last = append(last, w.events)
		} else {
			last = append(last, -1)
		}
	}
	if !away || len(who) < len(v.all) {
		return v.swarm.until(ctx, func() bool {
			for i, w := range v.all {
				if last[i] >= 0 && w.events == last[i] {
					return false
				}
			}
			return true
		})
	}
	until := time.Now().Add(3 * pulseEvery) // nobody may hear of these
	return v.swarm.until(ctx, func() bool { return time.Now().After(until) })
}
