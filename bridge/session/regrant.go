package session

import (
	"errors"
	"slices"
	"time"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
)

// When what a user may see may have changed, their sessions are held: nothing that waits in their queues is written, but
// for the rest of a frame that is partly on the wire. Once it is known what they may see now, each is settled: it goes on
// as if nothing had been, goes on with other grants, or ends. A hold has a number, and settling an older one than that
// which a session is held by does nothing: a change that came later is yet to be looked up.
//
// A session that is closed while it is held drops what waits, as a slow one does: it was not sent, and the next cursor
// that its client comes back with says so.

// Held is a session that is held, with who it was then.
type Held struct {
	Session *Session
	Who     *audience.Identity
}

// Hold holds the sessions of users, as audience.UserKey has them, or everybody's, by a number that is not 0 and higher
// than those before, and returns them.
func (srv *Server) Hold(number uint64, all bool, users map[string]struct{}) []Held {
	var list []*Session
	if all {
		list = srv.all()
	} else {
		srv.mu.Lock()
		for user := range users {
			list = append(list, srv.people[user]...)
		}
		srv.mu.Unlock()
	}
	held := make([]Held, 0, len(list))
	for _, s := range list {
		if who := s.hold(number); who != nil {
			held = append(held, Held{s, who})
		}
	}
	return held
}

// hold returns nil for a session that is nobody's yet, or at its end: one that is being closed drops what waits before
// its goodbye.
func (s *Session) hold(number uint64) *audience.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.who == nil || s.closed {
		return nil
	}
	if s.closing != 0 {
		s.q.finish()
		s.interrupt()
		return nil
	}
	s.held = number
	s.interrupt()
	return s.who
}

// paused tells that nothing but the rest of a frame may be written; s.mu is held.
func (s *Session) paused() bool { return s.held != 0 || s.regranting }

// interrupt ends a write that waits for the socket; s.mu is held.
func (s *Session) interrupt() {
	if s.blocked && s.interruptible() {
		s.interrupted = true
		s.nc.SetWriteDeadline(time.Unix(1, 0))
	}
}

// dropPaused drops what waits in the queue of a held session that is at its end, so that what is to be its last message
// can leave; s.mu is held.
func (s *Session) dropPaused() {
	if s.paused() {
		s.held = 0
		s.q.cut()
		s.q.doom()
	}
}

// Outcome is how a hold ended.
type Outcome uint8

// The outcomes of Settle.
const (
	Over    Outcome = iota // the session has ended, or is held by a later hold
	Same                   // it may see what it could
	Changed                // it goes on with other grants, and was told
	Refused                // it was closed: its user is not let in any more, or to another tenant
)

// Settle ends the hold of that number. renew returns who the session is now, and fails as audience.Authority.Renew does.
func (s *Session) Settle(number uint64, renew func(*audience.Identity) (*audience.Identity, error)) Outcome {
	s.granting.Lock()
	defer s.granting.Unlock()
	s.mu.Lock()
	who, ours := s.who, s.held == number
	stuck := s.blocked && !s.interruptible()
	s.mu.Unlock()
	if !ours {
		return Over
	}
	now, err := renew(who)
	refusal, refused := errors.AsType[*audience.Refusal](err)
	switch {
	case refused:
		s.Close(closeAuthFailed, refusal.Reason)
		return Refused
	case err != nil:
		s.Close(closeGrantsChanged, "grants_changed: what you may see is not known")
		return Refused
	case now.Tenant != who.Tenant:
		s.Close(closeGrantsChanged, "grants_changed: another tenant")
		return Refused
	case slices.Equal(now.Grants, who.Grants):
		s.rename(now)
		s.release(number)
		return Same
	case stuck:
		s.kill() // what is half-way into a TLS record can't be taken back
	case s.plain:
		s.srv.Stats.Resyncs.Add(1)
		s.Close(closeResync, "resync: grants_changed")
	default:
		s.replaceIdentity(now)
		s.regrant(now)
		s.release(number)
	}
	return Changed
}

// GiveUp closes a session that is held by that number: it can't be found out what it may see.
func (s *Session) GiveUp(number uint64) bool {
	s.mu.Lock()
	ours := s.held == number
	s.mu.Unlock()
	if ours {
		s.Close(closeGrantsChanged, "grants_changed: what you may see can't be looked up")
	}
	return ours
}

// rename takes over a new display name.
func (s *Session) rename(now *audience.Identity) {
	if s.identity().Name != now.Name {
		s.replaceIdentity(now)
	}
}

// replaceIdentity has the session be the same user by another identity.
func (s *Session) replaceIdentity(now *audience.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.who = now
	if s.closing == 0 && !s.closed {
		s.watchExpiry(now)
	}
}

// release has the session go on.
func (s *Session) release(number uint64) {
	s.mu.Lock()
	if s.held == number {
		s.held = 0
	}
	ready := s.wantsWriter()
	s.mu.Unlock()
	if ready {
		s.srv.schedule(s, true)
	}
}

// regrant has all that the session subscribes to go on by the grants of who; s.granting is held. What was delivered may be
// older than these, and what waits was judged by those that are gone: it is dropped, and the client told.
func (s *Session) regrant(who *audience.Identity) {
	s.mu.Lock()
	s.regranting, s.regranted = true, true
	s.interrupt()
	s.mu.Unlock()
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
	s.q.doom()
	s.q.replaceEvents(notices)
	s.regranting = false
	ready := s.wantsWriter()
	s.mu.Unlock()
	if ready {
		s.srv.schedule(s, true)
	}
}
