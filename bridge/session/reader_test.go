package session

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// A message that comes in drops, each before a worker's patience ends, must not hold the worker.
func TestDropsHoldNoWorker(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	p := dial(t, addr, "1")
	f := masked(0x81, `{"type":"ping"}`+strings.Repeat(" ", 100))
	for i := range 20 {
		p.send(f[i : i+1])
		pace(15 * time.Millisecond)
	}
	if n := len(srv.workers); n != 0 {
		t.Errorf("%d workers held after 300 ms of one message", n)
	}
	p.send(f[20:])
	p.expect("pong")
}

// The deadline of a wait ends with it: a frame that came in two pieces and took long to handle is not the last one.
func TestNoReadDeadlineStays(t *testing.T) {
	t.Parallel()
	_, addr := setup(t, 2*graceRead)
	p := dial(t, addr, "")
	f := masked(0x81, `{"type":"auth","token":"`+strings.Repeat("x", 400)+`"}`)
	p.send(f[:200])
	pace(graceRead / 3)
	p.send(f[200:])
	p.expect("welcome")
	p.send(masked(0x81, `{"type":"ping"}`))
	p.expect("pong")
}

// stragglers returns for how many names stragglers are counted.
func stragglers(srv *Server) int {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return len(srv.stragglers)
}

// Slow first frames are counted to the address and forgotten there, though the session has got its user meanwhile.
func TestStragglersThatAuthenticate(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	for i := range maxStragglers + 1 {
		p := dial(t, addr, "")
		f := masked(0x81, fmt.Sprintf(`{"type":"auth","token":"%d"}`, i))
		p.send(f[:7])
		until(t, "a straggler", func() bool { return stragglers(srv) == 1 })
		p.send(f[7:])
		p.expect("welcome")
		until(t, "no straggler", func() bool { return stragglers(srv) == 0 })
	}
}

// Whoever had too many unfinished messages may have some again later.
func TestStragglersOverTheLimit(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	var all []*peer
	for range maxStragglers + 4 {
		p := dial(t, addr, "1")
		p.send([]byte{0x81})
		all = append(all, p)
	}
	until(t, "the limit", func() bool { return srv.Stats.Open.Load() == maxStragglers })
	for _, p := range all {
		p.Close()
	}
	until(t, "all gone", func() bool { return srv.Stats.Open.Load() == 0 && stragglers(srv) == 0 })
}

// A message of empty fragments without end has no length that could pass a limit, and yet it ends.
func TestEmptyFragments(t *testing.T) {
	t.Parallel()
	_, addr := setup(t, 0)
	p := dial(t, addr, "1")
	p.send(masked(0x01, "x"))
	many := []byte(strings.Repeat(string(masked(0x00, "")), 1000))
	for sent := 0; sent < 64<<20; {
		n, err := p.Write(many)
		if err != nil {
			return
		}
		sent += n
	}
	t.Error("64 MB of one message were taken")
}

// A session that floods is read until it ends, but not by a worker.
func TestFloodYieldsWorker(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	p := dial(t, addr, "1")
	s := srv.session(t)
	many := []byte(strings.Repeat(string(masked(0x89, "")), 1000))
	done := make(chan struct{})
	go func(nc net.Conn) {
		defer close(done)
		for {
			if _, err := nc.Write(many); err != nil {
				return
			}
		}
	}(p.Conn)
	until(t, "4505", func() bool { return !s.alive() })
	until(t, "the worker is free", func() bool { return len(srv.workers) == 0 })
	if s.ended() {
		t.Error("the connection had ended first: the flood was not read any more")
	}
	p.Close()
	<-done
}
