//go:build linux

package main

import (
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/bench/floor"
	"nalar.internal/rowfeed/test/measure"
)

// probe measures how long a change takes to one subscriber: it makes the change and is the subscriber, so that both
// ends are read from one clock.
type probe struct {
	d      *side
	conn   *pgx.Conn
	socket net.Conn
	last   int          // quantity that was written last: each change has a number of its own
	came   chan arrival // of each event
	ended  chan error   // why the socket's reader ended
	sent   map[int]time.Time
}

type arrival struct {
	quantity int
	at       time.Time
}

const updateStock = "update inventory_stocklevel set quantity = $1, updated_at = now() where id = $2"

// newProbe connects and waits until the subscription is live.
func newProbe(d *side) (*probe, error) {
	conn, err := d.connect()
	if err != nil {
		return nil, err
	}
	socket, err := net.Dial("tcp", d.address)
	if err != nil {
		return nil, fmt.Errorf("connect subscriber: %w", err)
	}
	p := &probe{d: d, conn: conn, socket: socket, came: make(chan arrival, 1<<12), ended: make(chan error, 1)}
	up := make(chan struct{})
	c := &subscriber{user: 1, heard: func(_ *subscriber, event []byte) error {
		at := time.Now()
		quantity, err := number(event, "quantity")
		p.came <- arrival{quantity, at}
		return err
	}}
	if d.bridge {
		c.channel = "stock"
	}
	go func() { // ends when the socket is closed
		p.ended <- read(socket, c, d.address, make([]byte, 64<<10), func(b []byte) error {
			was := c.phase
			err := c.feed(b)
			if c.phase == live && was != live {
				close(up)
			}
			return err
		})
	}()
	select {
	case <-up:
		return p, nil
	case err := <-p.ended:
		return nil, fmt.Errorf("subscribe: %w", err)
	case <-time.After(patience):
		return nil, fmt.Errorf("subscribe: not live after %s", patience)
	}
}

// round makes n changes and returns, in milliseconds, how long each took from before its statement was sent to the
// frame's arrival, and how long the statement alone took.
func (p *probe) round(seed uint64, rate float64, n, rows int) (whole, statement []float64, err error) {
	ctx := p.d.stage.ctx
	p.sent = make(map[int]time.Time, n)
	err = pace(ctx, seed, rate, n, func(i int) error {
		p.last++
		start := time.Now()
		p.sent[p.last] = start
		_, err := p.conn.Exec(ctx, updateStock, p.last, 1+i%rows)
		statement = append(statement, milliseconds(time.Since(start)))
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("change row: %w", err)
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for range n {
		select {
		case a := <-p.came:
			start, ok := p.sent[a.quantity]
			if !ok {
				return nil, nil, fmt.Errorf("%s: an event that is not of this round, or came twice", p.d.role)
			}
			delete(p.sent, a.quantity)
			whole = append(whole, milliseconds(a.at.Sub(start)))
		case err := <-p.ended:
			return nil, nil, fmt.Errorf("%s: subscriber ended: %w", p.d.role, err)
		case <-limit.C:
			return nil, nil, fmt.Errorf("%s: %d of %d events did not come", p.d.role, len(p.sent), n)
		}
	}
	return whole, statement, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// latency measures commit to socket: one subscriber, single-row transactions.
func latency(s *stage, z sizes) ([]figure, []string, error) {
	ours, err := s.bridge(z.rows)
	if err != nil {
		return nil, nil, err
	}
	bare, err := s.floor(z.rows, floor.Options{})
	if err != nil {
		return nil, nil, err
	}
	var probes [2]*probe
	for i, d := range []*side{ours, bare} {
		if probes[i], err = newProbe(d); err != nil {
			return nil, nil, err
		}
		defer probes[i].socket.Close()
		if _, _, err := probes[i].round(evenly, z.rate, z.changes/4+1, z.rows); err != nil { // plans and caches
			return nil, nil, err
		}
	}
	if err := ours.profile("latency"); err != nil {
		return nil, nil, err
	}
	durable := latencyFigures("", 1.5)
	err = durable.measure(probes, z, 2*z.rounds)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range probes {
		if _, err := p.conn.Exec(s.ctx, "set synchronous_commit = off"); err != nil {
			return nil, nil, err
		}
	}
	loose := latencyFigures(", synchronous_commit off", 0)
	if err := loose.measure(probes, z, z.rounds); err != nil {
		return nil, nil, err
	}
	return append(durable[:], loose[:2]...), nil, ours.profile("")
}

// latencyRows are p50 and p99 of the whole way, and p50 of the statement alone.
type latencyRows [3]figure

func latencyFigures(more string, most float64) *latencyRows {
	row := func(name string, most float64) figure {
		return figure{name: name + more, unit: "ms", other: "floor", most: most}
	}
	return &latencyRows{
		row("commit to socket, p50", most), row("commit to socket, p99", 0), row("the statement alone, p50", 0),
	}
}

// measure runs alternating rounds, the first side changing too.
func (l *latencyRows) measure(probes [2]*probe, z sizes, rounds int) error {
	for i := range rounds {
		for k := range probes {
			p := probes[(i+k)%2]
			whole, statement, err := p.round(uint64(i+1), z.rate, z.changes, z.rows)
			if err != nil {
				return err
			}
			for at, value := range []float64{measure.Median(whole), measure.Quantile(whole, 0.99), measure.Median(statement)} {
				to := &l[at].against
				if p.d.bridge {
					to = &l[at].ours
				}
				*to = append(*to, value)
			}
		}
	}
	return nil
}
