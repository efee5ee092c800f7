package session

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/router"
	"nalar.internal/rowfeed/config"
)

// lone makes a session without a socket whose token ends at the given time.
func lone(plain bool, expires time.Time) *Session {
	cfg := &config.Config{}
	cfg.Auth.JWT.Leeway = 30 * time.Second
	srv := &Server{cfg: cfg, users: map[string]int{}, addresses: map[string]int{}}
	s := &Session{srv: srv, plain: plain, who: &audience.Identity{Expires: expires}}
	srv.register(s)
	return s
}

func (s *Session) watch(who *audience.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.who = who
	s.watchExpiry(who)
}

// The session ends at the token's end and the leeway, also where a part of the leeway is used up already.
func TestExpiry(t *testing.T) {
	t.Parallel()
	for _, left := range []time.Duration{-20 * time.Second, 0, 10 * time.Second, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			for _, plain := range []bool{true, false} {
				s := lone(plain, time.Now().Add(left))
				s.watch(s.who)
				time.Sleep(left + 29*time.Second)
				synctest.Wait()
				if !s.alive() {
					t.Errorf("left %v, plain %v: ended early", left, plain)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if s.alive() {
					t.Errorf("left %v, plain %v: not ended", left, plain)
				}
				s.kill()
			}
		})
	}
}

// A token that is good until the year 9999 does not end at once.
func TestExpiryFarAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, plain := range []bool{true, false} {
			s := lone(plain, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
			s.watch(s.who)
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			if !s.alive() {
				t.Errorf("plain %v: closed with %d", plain, s.closing)
			}
			s.kill()
		}
	})
}

// A clock that strikes while the token is renewed changes nothing: the session ends at the new token's time.
func TestExpiryDuringRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := lone(false, time.Now().Add(2*time.Minute))
		s.watch(s.who)
		s.mu.Lock()
		time.Sleep(time.Minute) // auth_expiring is due, and waits for the lock
		s.who = &audience.Identity{Expires: time.Now().Add(time.Hour)}
		s.watchExpiry(s.who)
		s.mu.Unlock()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if !s.alive() {
			t.Errorf("closed with %d", s.closing)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.alive() {
			t.Error("not ended with the new token")
		}
		s.kill()
	})
}

// A token that came in time is not too late because checking it takes long.
func TestDeadlineWhileChecking(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 300*time.Millisecond)
	srv.cfg.Auth.Deadline = 100 * time.Millisecond
	p := dial(t, addr, "")
	p.send(masked(0x81, `{"type":"auth","token":"1"}`))
	p.expect("welcome")
}

// What waits in the queue when the grants change was judged by the old ones: it is not written any more.
func TestRenewalDropsWhatWaits(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	p := dial(t, addr, "1")
	s := srv.session(t)
	s.keep(srv.channels["c"].Router.Subscribe(s, s.identity().Grants, router.Request{Ref: "1"}, nil))
	until(t, "the writer is done", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.scheduled {
			return false
		}
		s.scheduled = true // as while the socket is full
		return true
	})
	m := change.NewMessage(16, func(b []byte) []byte { return append(b, `{"secret":1}`...) })
	m.Op = change.Insert
	s.Send(pongFrame)
	s.Send(m)
	s.Send(heartbeatMessage("e:1:x")) // which vouches for it
	s.renew(&audience.Identity{User: "1", Expires: time.Now().Add(time.Hour)})
	s.drain()
	var got string
	for !strings.Contains(got, "e:1:x") {
		f, err := p.r.ReadString('}')
		if err != nil {
			t.Fatal(err)
		}
		got += f
	}
	pong, resync := strings.Index(got, "pong"), strings.Index(got, "grants_changed")
	if strings.Contains(got, "secret") || pong < 0 || resync < pong || resync > strings.Index(got, "heartbeat") {
		t.Errorf("want the answer, the resync in place of the event, and the heartbeat, got %q", got)
	}
}

func heartbeatMessage(cursor string) *change.Message {
	return change.NewMessage(64, func(b []byte) []byte { return append(b, heartbeatText([][2]string{{"c", cursor}})...) })
}

// A heartbeat that was made before a subscription came, whose past is yet to be sent, does not vouch for it.
func TestHeartbeatMadeBefore(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	p := dial(t, addr, "1")
	s := srv.session(t)
	c := srv.channels["c"]
	s.enroll(c, router.Request{Ref: "1"}, router.From{}, nil)
	c.Router.Settle("e:2:x")
	m := s.heartbeat(map[string]*change.Message{})
	if !strings.Contains(string(m.Payload()), "e:2:x") || !s.sendIf(s.resumes, m) {
		t.Fatalf("got %s", m.Payload())
	}
	p.expect("e:2:x")
	before := s.resumes
	s.enroll(c, router.Request{Ref: "2"}, router.From{Cursor: change.Cursor{Epoch: "e", Xid: 1, Nonce: "x"}}, nil)
	if s.sendIf(before, m) {
		t.Error("vouches for what is yet to be sent")
	}
	s.sendHeartbeat(map[string]*change.Message{})
	p.expect(`"cursors":{}`)
}

// Nothing of the past is read for who is leaving.
func TestLeavingHasNoRoom(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	dial(t, addr, "1")
	s := srv.session(t)
	if c := srv.channels["c"].Router; !s.Offer(pongFrame, c) {
		t.Error("no room in an empty queue")
	} else if s.Slow(); s.Offer(pongFrame, c) {
		t.Error("room behind the close frame")
	}
}
