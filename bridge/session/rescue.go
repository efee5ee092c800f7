package session

import (
	"fmt"
	"runtime"

	"go.uber.org/zap"
)

// rescue is deferred where a goroutine serves one session: a panic there, which is a defect of the program, ends that
// session and no other. What runs with the session's lock has to release it by defer, or nobody could end it.
func (s *Session) rescue() {
	if v := recover(); v != nil {
		s.Failed(v)
	}
}

// Failed ends a session in whose code something panicked: at once, since what waits for it may be what is broken. The
// client comes back with its cursor. What a panic says is left out of the log where it may hold a row's value.
func (s *Session) Failed(panicked any) {
	s.srv.Stats.Panics.Add(1)
	why := fmt.Sprintf("panic of type %T", panicked)
	if err, ok := panicked.(runtime.Error); ok {
		why = err.Error()
	}
	s.srv.log.Error("session ended by a defect of the program", zap.String("session", s.name()), zap.String("panic", why), zap.Stack("at"))
	s.srv.wg.Go(s.kill) // whoever is here may hold the lock of a router
}

// locked runs f with the session's lock and gives the session to a writer where something waits.
func (s *Session) locked(wake bool, f func()) {
	if s.under(f) {
		s.srv.schedule(s, wake)
	}
}

func (s *Session) under(f func()) (ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	return s.wantsWriter()
}
