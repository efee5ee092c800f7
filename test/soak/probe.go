//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
)

// probe measures how long changes of another channel take to their subscriber, while something else goes on: it makes
// the change and is the subscriber, so that both ends are read from one clock.
type probe struct {
	s     *stage
	conn  *pgx.Conn
	ws    *websocket.Conn
	came  chan probed
	ended chan error
	over  chan struct{} // closed when nothing reads any more
	n     int
}

type probed struct {
	n  int
	at time.Time
}

// probeRate is how many changes a second a probe makes.
const probeRate = 100

func newProbe(ctx context.Context, s *stage) (*probe, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	ws, _, err := websocket.Dial(ctx, "ws://"+s.address+"/ws/pulses", &websocket.DialOptions{HTTPHeader: http.Header{
		"Authorization": {"Bearer " + token(jwt.MapClaims{"user_id": 1, "roles": []string{"all"}})}}})
	if err != nil {
		conn.Close(ctx)
		return nil, fmt.Errorf("connect probe: %w", err)
	}
	p := &probe{s: s, conn: conn, ws: ws, came: make(chan probed, 1<<16), ended: make(chan error, 1),
		over: make(chan struct{})}
	go func() { // ends when the socket is closed
		defer close(p.over)
		for {
			_, text, err := ws.Read(context.WithoutCancel(ctx))
			if err != nil {
				p.ended <- err
				return
			}
			at := time.Now()
			var f frame
			if err := json.Unmarshal(text, &f); err != nil {
				p.ended <- err
				return
			}
			p.came <- probed{f.Data.N, at}
		}
	}()
	return p, nil
}

func (p *probe) close() {
	_ = p.ws.CloseNow()
	<-p.over
	p.conn.Close(context.Background())
}

// while makes changes until during has returned, for a second at the least, and returns how long each took from before
// its statement was sent to its arrival, in milliseconds.
func (p *probe) while(ctx context.Context, during func() error) ([]float64, error) {
	var over sync.WaitGroup
	done := make(chan error, 1)
	over.Go(func() { done <- during() })
	defer over.Wait()
	tick := time.NewTicker(time.Second / probeRate)
	defer tick.Stop()
	sent := map[int]time.Time{}
	begun := time.Now()
	var failed error
	for running := true; running || time.Since(begun) < time.Second; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case failed = <-done:
			running, done = false, nil
			continue
		case <-tick.C:
		}
		p.n++
		sent[p.n] = time.Now()
		if _, err := p.conn.Exec(ctx, "update pulse set n = $1 where id = 2", p.n); err != nil {
			return nil, fmt.Errorf("change pulse: %w", err)
		}
	}
	if failed != nil {
		return nil, failed
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	var took []float64
	for len(sent) > 0 {
		select {
		case a := <-p.came:
			start, ok := sent[a.n]
			if !ok {
				return nil, errors.New("probe: a change came twice")
			}
			delete(sent, a.n)
			took = append(took, float64(a.at.Sub(start).Microseconds())/1000)
		case err := <-p.ended:
			return nil, fmt.Errorf("probe ended: %w", err)
		case <-limit.C:
			return nil, fmt.Errorf("probe: %d changes did not come", len(sent))
		}
	}
	return took, nil
}
