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

// watchExpiry starts the clock of the identity's token: auth_expiring a minute before its end, 4004 at the end; s.mu is
// held. The leeway that a token is accepted with is added to its life.
func (s *Session) watchExpiry(who *audience.Identity) {
	left := time.Until(who.Expires)
	end := max(left, 0) + s.srv.cfg.Auth.JWT.Leeway
	expire := func() { s.Close(closeAuthExpired, "auth_expired") }
	if s.plain || left <= expiryNotice {
		s.setTimer(end, expire)
		return
	}
	s.setTimer(left-expiryNotice, func() {
		s.Send(expiringFrame(expiryNotice))
		s.mu.Lock()
		if s.closing == 0 && !s.closed {
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
	if s.in.slot != nil {
		s.in.slot.release() // the database may be slow: that must not hold a worker
	}
	who, v := s.srv.authenticate(context.Background(), f.Token)
	old := s.identity()
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

func (s *Session) welcome(who *audience.Identity) {
	s.Send(welcomeFrame(s, who))
	s.mu.Lock()
	if s.closing == 0 && !s.closed {
		s.watchExpiry(who)
	}
	s.mu.Unlock()
}

// renew goes on with a fresh token. Where it changes what may be seen, what was delivered may be older than that.
func (s *Session) renew(old, who *audience.Identity) {
	s.mu.Lock()
	s.who = who
	subs := s.subs
	s.mu.Unlock()
	s.welcome(who)
	if slices.Equal(old.Grants, who.Grants) {
		return
	}
	told := map[string]bool{}
	for _, sub := range subs {
		c := sub.Channel()
		if told[c.Name()] {
			continue
		}
		told[c.Name()] = true
		c.Regrant(s, who.Grants)
		s.Resync(change.Notice{Channel: c.Name(), Reason: "grants_changed"}, "")
	}
}
