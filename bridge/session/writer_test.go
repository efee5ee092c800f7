package session

import (
	"net"
	"testing"
	"time"
)

// hasty is a socket whose write deadlines come soon.
type hasty struct{ *net.TCPConn }

const haste = 20 * time.Millisecond

func (c *hasty) SetWriteDeadline(at time.Time) error {
	if !at.IsZero() {
		at = time.Now().Add(haste)
	}
	return c.TCPConn.SetWriteDeadline(at)
}

// A session whose socket was full once can be written to after the deadline of that time has passed.
func TestNoWriteDeadlineStays(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	p := dial(t, addr, "1")
	s := srv.session(t)
	until(t, "the writer is done", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.scheduled {
			return false
		}
		s.scheduled = true // as the writer leaves a session whose socket is full
		return true
	})
	s.Send(pongFrame)
	s.nc = &hasty{s.nc.(*net.TCPConn)}
	s.drain()
	p.expect("pong")
	pace(2 * haste)
	s.Send(pongFrame)
	p.expect("pong")
}
