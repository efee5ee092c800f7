package session

import (
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// A panic in what is done for one session ends that session, whoever was at it: who reads its frames, who writes to it, who
// routes an event to it, a clock. All others go on, and the lock is free.
func TestPanicIsOneSessions(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(p *peer, s *Session){
		"read": func(p *peer, s *Session) { // a channel without a router
			p.send(masked(0x81, `{"type":"subscribe","channel":"broken"}`))
		},
		"write": func(_ *peer, s *Session) {
			s.mu.Lock()
			s.q.items = append(s.q.items, nil)
			ready := s.wantsWriter()
			s.mu.Unlock()
			if ready {
				s.srv.schedule(s, true)
			}
		},
		"route": func(_ *peer, s *Session) {
			s.mu.Lock()
			s.q.head = 9
			s.mu.Unlock()
			grants := s.identity().Grants
			c := s.srv.channels["c"].Router
			c.Route(&change.Event{Channel: "c", Resource: "r", Key: "1", Op: change.Insert, Now: grants, Body: shape{}})
			c.Flush(1)
		},
		"clock": func(_ *peer, s *Session) {
			s.mu.Lock()
			s.setTimer(0, func() { panic("s3cr3t") })
			s.mu.Unlock()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, addr := setup(t, 0)
			srv.channels["broken"] = Channel{Fields: map[string]map[string]bool{"": {}}}
			bad := dial(t, addr, "1")
			s := srv.session(t)
			good := dial(t, addr, "1")
			for _, p := range []*peer{bad, good} {
				p.send(masked(0x81, `{"type":"subscribe","channel":"c"}`))
				p.expect("subscribed")
			}
			breaks(bad, s)
			until(t, "the session has ended", s.ended)
			for _, err := bad.r.ReadByte(); err == nil; {
				_, err = bad.r.ReadByte()
			}
			good.send(masked(0x81, `{"type":"ping"}`))
			good.expect("pong")
			srv.channels["c"].Router.Route(&change.Event{Channel: "c", Resource: "r", Key: "2", Op: change.Insert,
				Now: []string{change.Scope("", "user:1")}, Body: shape{}})
			srv.channels["c"].Router.Flush(2)
			good.expect(`"whole"`)
			if n := srv.Stats.Panics.Load(); n != 1 {
				t.Errorf("%d panics counted", n)
			}
			until(t, "one session is left", func() bool { return len(srv.all()) == 1 })
		})
	}
}

// shape is an event's body.
type shape struct{}

func (shape) Field(string, bool) ([]byte, bool) { return nil, false }

func (shape) Append(dst []byte, v change.Variant, _ string) []byte {
	return append(dst, `{"event":"`+[]string{"whole", "enter", "leave"}[v]+`"}`...)
}
