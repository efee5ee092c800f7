package session

import (
	"context"
	"slices"
	"time"

	"nalar.internal/rowfeed/bridge/audience"
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
	if old == nil {
		who, v := s.srv.login(context.Background(), s, f.Token)
		if v.code != 0 {
			s.Close(v.code, v.reason)
			return
		}
		s.welcome(who)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), identifyTimeout)
	defer cancel()
	for fresh := false; !fresh; {
		who, v := s.srv.authenticate(ctx, f.Token)
		switch {
		case v.code == closeTryLater:
			s.fail(f.Ref, errInternal, v.reason)
			return
		case v.code != 0:
			s.fail(f.Ref, errForbidden, "token refused: "+v.reason+"; the session goes on with the old one until it expires")
			return
		case userKey(old) != userKey(who):
			s.fail(f.Ref, errForbidden, "a session can't change its user: open another connection")
			return
		}
		fresh = s.renew(who)
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
		s.watchExpiry(s.who) // which may be another already: a clock that watches who is gone would never strike
	}
	s.mu.Unlock()
}

// renew goes on with a fresh token; false when what it grants may have changed since that was looked up.
func (s *Session) renew(who *audience.Identity) bool {
	s.granting.Lock()
	defer s.granting.Unlock()
	if s.srv.isStale(who) {
		return false
	}
	s.mu.Lock()
	same := slices.Equal(s.who.Grants, who.Grants)
	s.who = who
	s.mu.Unlock()
	s.welcome(who)
	if !same {
		s.regrant(who)
	}
	return true
}
