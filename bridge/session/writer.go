package session

import (
	"errors"
	"net"
	"sync"
	"time"

	"nalar.internal/rowfeed/bridge/router"
)

// writer sends what waits in the queues of the sessions handed to it: all that waits for a socket in one system call,
// and never waiting for a socket. What a socket does not take at once is left to a goroutine of that session (drain).
type writer struct {
	mu    sync.Mutex
	ready []*Session
	spare []*Session
	idle  bool
	stop  bool
	wake  chan struct{}
}

// pen is what one goroutine writes with.
type pen struct {
	sink vector
	bufs [][]byte
}

var pens = sync.Pool{New: func() any {
	p := &pen{}
	p.sink.init()
	return p
}}

const (
	// maxBatch is how many messages go into one system call: what is sent holds the session.
	maxBatch = 256
	// maxKick is how many sessions Wake's caller writes to by itself.
	maxKick = 4
)

func newWriter() *writer { return &writer{wake: make(chan struct{}, 1)} }

func (w *writer) add(s *Session, wake bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready = append(w.ready, s)
	if wake || len(w.ready) > maxKick {
		w.rouse()
	}
}

// rouse wakes the writer where it is idle; w.mu is held. The channel has room for the one wake that an idle writer gets.
func (w *writer) rouse() {
	if w.idle {
		w.idle = false
		w.wake <- struct{}{}
	}
}

// kick writes what little is ready, or wakes the writer for more.
func (w *writer) kick() {
	var few [maxKick]*Session
	w.mu.Lock()
	n := len(w.ready)
	if !w.idle || n == 0 {
		w.mu.Unlock()
		return // it is at work already, or there is none
	}
	if n > maxKick {
		w.rouse()
		w.mu.Unlock()
		return
	}
	copy(few[:], w.ready)
	clear(w.ready)
	w.ready = w.ready[:0]
	w.mu.Unlock()
	p := pens.Get().(*pen)
	for _, s := range few[:n] {
		p.flush(s)
	}
	pens.Put(p)
}

func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop = true
	w.rouse()
}

// run writes until close.
func (w *writer) run() {
	p := pens.Get().(*pen)
	for {
		w.mu.Lock()
		if w.stop {
			w.mu.Unlock()
			return
		}
		if len(w.ready) == 0 {
			w.idle = true
			w.mu.Unlock()
			<-w.wake
			continue
		}
		batch := w.ready
		w.ready, w.spare = w.spare[:0], batch
		w.mu.Unlock()
		for i, s := range batch {
			batch[i] = nil
			p.flush(s)
		}
	}
}

// flush sends what waits for s, as far as its socket takes it.
func (p *pen) flush(s *Session) {
	defer s.rescue()
	for {
		if p.bufs = s.take(p.bufs[:0], false); len(p.bufs) == 0 {
			return
		}
		n, again, err := p.sink.send(s.raw, p.bufs)
		s.wrote(n)
		if err != nil {
			s.kill()
			return
		}
		if again {
			s.srv.wg.Go(s.drain)
			return
		}
	}
}

// take returns what is to be written next; nothing where nothing waits any more: then the session is given back. The
// write of drain waits for the socket.
func (s *Session) take(bufs [][]byte, waits bool) [][]byte {
	bufs, bye := s.taken(bufs, waits)
	if bye {
		s.kill()
	}
	return bufs
}

func (s *Session) taken(bufs [][]byte, waits bool) (_ [][]byte, bye bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := maxBatch
	if waits {
		most = s.drainBatch()
	}
	bufs = s.q.views(bufs, most, s.paused())
	going := len(bufs) > 0 && !s.closed
	if waits {
		deadline := time.Time{} // once past, it would fail the next non-blocking write too
		if going {
			deadline = time.Now().Add(stallTimeout)
		}
		s.nc.SetWriteDeadline(deadline)
		s.blocked = going
	}
	if going {
		return bufs, false
	}
	s.scheduled = false
	s.q.inflight = 0
	return nil, s.goodbye && s.q.len() == 0
}

// wrote accounts n bytes of what was last taken, and has the channels go on that wait for room. It tells whether the write
// was told to give up.
func (s *Session) wrote(n int) (interrupted bool) {
	hungry, interrupted := s.advanced(n)
	for _, c := range hungry {
		c.Room(s)
	}
	return interrupted
}

func (s *Session) advanced(n int) (hungry []*router.Channel, interrupted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.srv.Stats
	st.Written.Add(uint64(s.q.advance(n))) //nolint:gosec // a count is not negative
	st.Writes.Add(1)
	st.Bytes.Add(uint64(n)) //nolint:gosec // a count is not negative
	interrupted = s.interrupted
	s.blocked, s.interrupted = false, false
	return s.fed(), interrupted
}

// stallTimeout ends a session whose socket takes not one byte for so long.
const stallTimeout = 30 * time.Second

// drain writes in a goroutine of its own until nothing waits: where the socket is full, under TLS, and on systems
// without the non-blocking path. It gives up when no byte moved for stallTimeout.
func (s *Session) drain() {
	defer s.rescue()
	for bufs := s.take(nil, true); len(bufs) > 0; bufs = s.take(bufs[:0], true) {
		vec := net.Buffers(append([][]byte(nil), bufs...))
		n, err := vec.WriteTo(s.nc)
		interrupted := s.wrote(int(n))
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() && (n > 0 || interrupted) {
			err = nil // slow, but moving; or told to look again
		}
		if err != nil {
			s.kill()
			return
		}
	}
}

// drainBatch is how many messages drain writes at once. A write that can't be interrupted has no more than one.
func (s *Session) drainBatch() int {
	if s.interruptible() {
		return maxBatch
	}
	return 1
}

// interruptible tells whether a write may end by its deadline and be gone on with: TLS could not.
func (s *Session) interruptible() bool {
	_, ok := s.nc.(*net.TCPConn)
	return ok
}
