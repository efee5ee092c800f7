package session

import (
	"errors"
	"net"
	"sync"
	"time"
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
	s.mu.Lock()
	for {
		p.bufs = s.q.views(p.bufs[:0], maxBatch, s.paused())
		if len(p.bufs) == 0 || s.closed {
			s.finishWrite()
			return
		}
		s.mu.Unlock()
		n, again, err := p.sink.send(s.raw, p.bufs)
		s.mu.Lock()
		s.wrote(n)
		if err != nil {
			s.mu.Unlock()
			s.kill()
			return
		}
		s.feed()
		if again {
			s.mu.Unlock()
			s.srv.wg.Go(s.drain)
			return
		}
	}
}

// wrote accounts n bytes of the views last taken; s.mu is held.
func (s *Session) wrote(n int) {
	st := &s.srv.Stats
	st.Written.Add(uint64(s.q.advance(n))) //nolint:gosec // a count is not negative
	st.Writes.Add(1)
	st.Bytes.Add(uint64(n)) //nolint:gosec // a count is not negative
}

// feed has the channels go on that wait for room; s.mu is held, and let go in between where there are any.
func (s *Session) feed() {
	for _, c := range s.fed() {
		s.mu.Unlock()
		c.Room(s)
		s.mu.Lock()
	}
}

// finishWrite gives the session back when nothing waits any more, and releases s.mu.
func (s *Session) finishWrite() {
	s.scheduled = false
	s.q.inflight = 0
	bye := s.goodbye && s.q.len() == 0
	s.mu.Unlock()
	if bye {
		s.kill()
	}
}

// stallTimeout ends a session whose socket takes not one byte for so long.
const stallTimeout = 30 * time.Second

// drain writes in a goroutine of its own until nothing waits: where the socket is full, under TLS, and on systems
// without the non-blocking path. It gives up when no byte moved for stallTimeout.
func (s *Session) drain() {
	var bufs [][]byte
	s.mu.Lock()
	for {
		bufs = s.q.views(bufs[:0], s.drainBatch(), s.paused())
		if len(bufs) == 0 || s.closed {
			s.nc.SetWriteDeadline(time.Time{}) // once past, it would fail the next non-blocking write too
			s.finishWrite()
			return
		}
		s.nc.SetWriteDeadline(time.Now().Add(stallTimeout))
		s.blocked = true
		s.mu.Unlock()
		vec := net.Buffers(append([][]byte(nil), bufs...))
		n, err := vec.WriteTo(s.nc)
		s.mu.Lock()
		s.blocked = false
		s.wrote(int(n))
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() && (n > 0 || s.interrupted) {
			err = nil // slow, but moving; or told to look again
		}
		s.interrupted = false
		s.feed()
		if err != nil {
			s.mu.Unlock()
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
