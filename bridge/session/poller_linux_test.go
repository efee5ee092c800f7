package session

import (
	"net"
	"runtime"
	"testing"
	"weak"
)

// parked returns how many sessions have a place in the poller.
func parked(srv *Server) (n int) {
	srv.poller.mu.Lock()
	defer srv.poller.mu.Unlock()
	for _, slot := range srv.poller.slots {
		if slot.s != nil {
			n++
		}
	}
	return n
}

// A session that ends just before it is parked for the first time leaves no place taken.
func TestParkAfterEnd(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close() // kill, in another goroutine, comes to this later
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	srv.park(&Session{srv: srv, nc: nc, raw: raw, slot: -1, closed: true, closing: 1006})
	if n := parked(srv); n != 0 {
		t.Errorf("%d places taken", n)
	}
}

// A connection that just ended leaves nothing of the session in memory.
func TestEndedIsCollected(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	p := dial(t, addr, "1")
	until(t, "it is parked", func() bool { return parked(srv) == 1 })
	session := weak.Make(srv.session(t))
	p.Close()
	until(t, "it has ended", func() bool { return srv.Stats.Open.Load() == 0 && parked(srv) == 0 })
	until(t, "the session is collected", func() bool { runtime.GC(); return session.Value() == nil })
}
