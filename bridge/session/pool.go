package session

import (
	"sync"
	"time"
)

// readWorkers bounds how many sessions are read at the same time.
const readWorkers = 256

// maxStragglers bounds, for one user or address, the readers that wait for the rest of a message.
const maxStragglers = 8

var messages = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// slot is a worker's place in the pool; it is given back once, early where the worker has to wait for somebody.
type slot struct {
	pool      chan struct{}
	held      bool
	since     time.Time // when the worker first waited for the rest of a message
	straggler string    // as whose straggler it is counted; empty: not
}

func (sl *slot) release() {
	if sl.held {
		sl.held = false
		<-sl.pool
	}
}

// yield gives the reader's place in the pool to others, before it goes on with what takes long.
func (s *Session) yield() {
	if s.in != nil && s.in.slot != nil {
		s.in.slot.release()
	}
}

// read gives a session that has become readable to a worker; it waits while all are busy.
func (srv *Server) read(s *Session) {
	srv.workers <- struct{}{}
	srv.wg.Go(func() { s.work(&slot{pool: srv.workers, held: true}) })
}

// straggle counts a reader that waits for the rest of a message; false when its user has too many of them.
func (srv *Server) straggle(s *Session, sl *slot) bool {
	sl.straggler = s.address
	if id := s.identity(); id != nil {
		sl.straggler = userKey(id)
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.stragglers[sl.straggler]++
	return srv.stragglers[sl.straggler] <= maxStragglers
}

// arrive undoes straggle, by the same name: the session may have got its user since.
func (srv *Server) arrive(sl *slot) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	decrement(srv.stragglers, sl.straggler)
}
