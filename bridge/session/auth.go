package session

import (
	"context"
	"slices"
	"time"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
)

// expiryNotice is how long before a token's end the client hears of it.
const expiryNotice = time.Minute

// maxLife bounds a token's life, so that adding to it can't overflow.
const maxLife = 10 * 365 * 24 * time.Hour

// watchExpiry starts the clock of the identity's token: auth_expiring a minute before its end, 4004 at the end; s.mu is
// held. The leeway that a token is accepted with is added to its life. A clock that strikes while the token is being
// renewed says nothing.
func (s *Session) watchExpiry(who *audience.Identity) {
	left := min(time.Until(who.Expires), maxLife)
	end := max(left+s.srv.cfg.Auth.JWT.Leeway, 0)
	expire := func() {
		if s.identity() == who {
			s.Close(closeAuthExpired, "auth_expired")
		}
	}
	if s.plain || left <= expiryNotice {
		s.setTimer(end, expire)
		return
	}
	s.setTimer(left-expiryNotice, func() {
		if s.identity() != who {
			return
		}
		s.Send(expiringFrame(expiryNotice))
		s.mu.Lock()
		if s.who == who && s.closing == 0 && !s.closed {
			s.setTimer(end-left+expiryNotice, expire)
		}
		s.mu.Unlock()
	})
}

// auth handles an auth frame: the first one, or a renewal.
func (s *Session) auth(f *clientFrame) {
	if len(f.Token) == 0 {
		s.fail(f.Ref, errBadFrame, "auth needs a token")
		return
	}
	s.yield() // the database may be slow
	old := s.identity()
	if old == nil {
		s.stopClock() // the token came in time, however long it takes to check
	}
	who, v := s.srv.authenticate(context.Background(), f.Token)
	switch {
	case v.code != 0 && old == nil:
		s.Close(v.code, v.reason)
	case v.code == closeTryLater:
		s.fail(f.Ref, errInternal, v.reason)
	case v.code != 0:
		s.fail(f.Ref, errForbidden, "token refused: "+v.reason+"; the session goes on with the old one until it expires")
	case old == nil:
		if !s.become(who) {
			s.Close(closeConnectionLimit, "too many connections of this user")
			return
		}
		s.welcome(who)
	case userKey(old) != userKey(who):
		s.fail(f.Ref, errForbidden, "a session can't change its user: open another connection")
	default:
		s.renew(old, who)
	}
}

// stopClock stops waiting for a token.
func (s *Session) stopClock() {
	s.mu.Lock()
	if s.closing == 0 && s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
}

func (s *Session) welcome(who *audience.Identity) {
	s.Send(welcomeFrame(s, who))
	s.mu.Lock()
	if s.closing == 0 && !s.closed {
		s.watchExpiry(who)
	}
	s.mu.Unlock()
}

// renew goes on with a fresh token. Where it changes what may be seen, what was delivered may be older than that, and
// what still waits was judged by the grants that are gone.
func (s *Session) renew(old, who *audience.Identity) {
	s.mu.Lock()
	s.who = who
	s.mu.Unlock()
	s.welcome(who)
	if slices.Equal(old.Grants, who.Grants) {
		return
	}
	channels := s.channels()
	for _, c := range channels {
		c.Regrant(s, who.Grants)
	}
	notices := make([]*change.Message, len(channels))
	for i, c := range channels {
		s.srv.Stats.Resyncs.Add(1)
		notices[i] = resyncFrame(change.Notice{Channel: c.Name(), Reason: "grants_changed"}, "")
	}
	s.mu.Lock()
	if s.closing != 0 {
		notices = nil // nothing may follow the close frame
	}
	s.judged = time.Now().UnixMicro()
	s.q.replaceEvents(notices)
	kick := s.wantsWriter()
	s.mu.Unlock()
	if kick {
		s.srv.schedule(s, true)
	}
}
