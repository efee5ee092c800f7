package session

import (
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Streams at rest wait in the poller: none of them has a goroutine. Not parallel, since it counts them all.
func TestStreamsPark(t *testing.T) {
	srv, addr := setup(t, 0)
	srv.cfg.Server.MaxConnections, srv.cfg.Server.MaxConnectionsPerAddress = 1000, 1000
	stream(t, addr, "0")
	before := 0
	until(t, "the first one is parked", func() bool {
		before = runtime.NumGoroutine()
		return parked(srv) == 1
	})
	var last *peer
	const streams = 300
	for i := range streams {
		last = stream(t, addr, strconv.Itoa(i))
	}
	until(t, "all are parked", func() bool { return parked(srv) == 1+streams })
	until(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+4 }) // idle pool, timers
	last.send([]byte("x"))
	until(t, "who said something is parked again", func() bool { return parked(srv) == 1+streams })
	last.Close()
	until(t, "who left has left", func() bool { return parked(srv) == streams })
}

// The kernel gives up a stream whose client no longer acknowledges: nobody answers its heartbeats.
func TestStreamUserTimeout(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	stream(t, addr, "1")
	s := srv.session(t)
	until(t, "it has its socket", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.attached })
	var ms int
	var errno error
	err := s.raw.Control(func(fd uintptr) { ms, errno = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) })
	if err != nil || errno != nil || int64(ms) != silence.Milliseconds() {
		t.Errorf("TCP_USER_TIMEOUT is %d ms (%v %v)", ms, err, errno)
	}
}
