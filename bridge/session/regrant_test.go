package session

import (
	"testing"
	"testing/synctest"
	"time"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
)

// A session whose identity was renewed between its login and its welcome ends with its token all the same.
func TestExpiryOfRenewedIdentity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := &Server{cfg: &config.Config{}}
		s := &Session{srv: srv, slot: -1}
		first, second := audience.Identity{User: "1"}, audience.Identity{User: "1", Grants: []string{"fewer"}}
		first.Expires = time.Now().Add(10 * time.Minute)
		second.Expires = first.Expires
		s.who = &first
		s.replaceIdentity(&second)
		s.welcome(&first)
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.timer.Stop()
		if s.closing != closeAuthExpired {
			t.Errorf("closing is %d, want %d", s.closing, closeAuthExpired)
		}
	})
}

func beat(text string) *change.Message {
	m := change.NewMessage(len(text), func(b []byte) []byte { return append(b, text...) })
	m.Key, m.Beat = "beat", true
	return m
}

// A heartbeat that was with the writer behind events that are dropped is dropped too: its cursors vouch for them, and what
// tells the client otherwise comes behind it.
func TestQueueDoomsHeartbeats(t *testing.T) {
	t.Parallel()
	var q queue
	pong := message("pong", 0, 0, false, 10)
	for _, m := range []*change.Message{message("a", change.Insert, 0, false, 10), pong, beat("{}")} {
		q.append(m)
	}
	q.views(nil, maxBatch, false)
	q.doom()
	q.append(message("notice", 0, 0, false, 10))
	q.advance(0)
	if got, want := keys(&q), "pong\x000 notice\x000 "; got != want {
		t.Errorf("left: %q, want %q", got, want)
	}
}

// Of a session that is being closed nothing waits for a look-up: what had not begun to leave is dropped, its goodbye stays.
func TestHoldWhileClosing(t *testing.T) {
	t.Parallel()
	for name, written := range map[string]int{"waiting": -1, "with the writer": 0, "half-way": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := &Server{cfg: &config.Config{}}
			s := &Session{srv: srv, slot: -1, who: &audience.Identity{User: "1"}}
			s.queue(message("a", change.Insert, 0, false, 10))
			s.queue(message("b", change.Insert, 0, false, 10))
			s.queue(beat("{}"))
			s.Close(closeDraining, "draining")
			s.timer.Stop()
			if written >= 0 {
				s.q.views(nil, maxBatch, false)
			}
			if s.hold(1) != nil {
				t.Error("held, although it is being closed")
			}
			if written >= 0 {
				s.q.advance(written)
			}
			want := 1
			if written > 0 {
				want = 2 // the rest of what has begun
			}
			if n := s.q.len(); n != want || s.q.items[len(s.q.items)-1].Frame()[0] != 0x88 {
				t.Errorf("%d messages are left, want %d, the last of them the close frame", n, want)
			}
		})
	}
}
