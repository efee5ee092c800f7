package session

import (
	"sync"
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
	straggler bool
}

func (sl *slot) release() {
	if sl.held {
		sl.held = false
		<-sl.pool
	}
}

// read gives a session that has become readable to a worker; it waits while all are busy.
func (srv *Server) read(s *Session) {
	srv.workers <- struct{}{}
	srv.wg.Go(func() { s.work(&slot{pool: srv.workers, held: true}) })
}

// straggle counts a reader that waits for the rest of a message; false when its user has too many of them.
func (srv *Server) straggle(s *Session, n int) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	key := s.address
	if id := s.identity(); id != nil {
		key = userKey(id)
	}
	srv.stragglers[key] += n
	if srv.stragglers[key] <= 0 {
		delete(srv.stragglers, key)
	}
	return srv.stragglers[key] <= maxStragglers
}
