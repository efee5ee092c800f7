package session

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// errIdle is what a read at a frame boundary returns when nothing more has come: the library has consumed nothing of
// the next frame, so the session can be parked and read again later.
var errIdle = errors.New("nothing to read")

// errFlood ends a session that sends more than it may.
var errFlood = errors.New("too many frames")

// Limits of an unfinished message: after graceRead its reader stops counting as a pool worker, after maxRead the
// session ends; and so it does after maxWire bytes, since empty fragments add nothing to a message's length.
const (
	graceRead = 50 * time.Millisecond
	maxRead   = 10 * time.Second
	maxWire   = 8 * maxFrame
)

// Read implements io.Reader for the library.
func (c *conn) Read(p []byte) (int, error) {
	in := c.e
	s := in.s.Load()
	if s == nil {
		return 0, net.ErrClosed
	}
	if in.size > maxWire {
		s.Close(closeFlood, "too many frames")
		return 0, errFlood
	}
	if len(in.early) > 0 {
		n := copy(p, in.early)
		in.early = in.early[n:]
		if len(in.early) == 0 {
			in.early = nil
		}
		return s.took(n, len(p)), nil
	}
	if !in.parked {
		n, err := s.nc.Read(p)
		s.took(n, len(p))
		return n, err
	}
	if in.boundary && in.some && !in.full {
		return 0, errIdle // level-triggered: if there is more, the poller says so at once
	}
	n, err := in.op.read(s.raw, p)
	switch {
	case err == nil && n == 0:
		return 0, io.EOF
	case err == nil:
		return s.took(n, len(p)), nil
	case !errors.Is(err, syscall.EAGAIN):
		return 0, err
	case in.boundary:
		return 0, errIdle
	}
	return s.readRest(p)
}

// took notes that n bytes came into a buffer of size room.
func (s *Session) took(n, room int) int {
	if n > 0 {
		s.in.boundary, s.in.some, s.in.full = false, true, n == room
		s.in.size += n
		s.lastIn.Store(time.Now().UnixMilli())
	}
	return n
}

// readRest waits for the rest of a frame that has begun. All that a worker waits for, however many messages it reads,
// stays below graceRead; after that the reader is a straggler. The deadline goes with the wait: a later non-blocking
// read would fail by it too.
func (s *Session) readRest(p []byte) (int, error) {
	in, sl := s.in, s.in.slot
	now := time.Now()
	if in.began.IsZero() {
		in.began = now
	}
	defer s.nc.SetReadDeadline(time.Time{})
	if sl.straggler == "" {
		if sl.since.IsZero() {
			sl.since = now
		}
		s.nc.SetReadDeadline(sl.since.Add(graceRead))
		n, err := s.nc.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return s.took(n, len(p)), err
		}
		sl.release()
		if !s.srv.straggle(s, sl) {
			return 0, errFlood
		}
	}
	s.nc.SetReadDeadline(in.began.Add(maxRead))
	n, err := s.nc.Read(p)
	return s.took(n, len(p)), err
}

// atBoundary tells the reading side that a frame has ended.
func (s *Session) atBoundary() {
	if !s.in.message {
		s.in.began, s.in.size = time.Time{}, 0
	}
	s.in.boundary = !s.in.message && s.in.br.Buffered() == 0 && len(s.in.early) == 0
}

// work reads whole messages until nothing more has come, and parks the session. It runs in a pool worker.
func (s *Session) work(sl *slot) {
	defer sl.release()
	defer s.rescue()
	if s.sse {
		s.discard()
		return
	}
	in := s.in
	if in == nil {
		in = anEngine()
		in.take(s)
	}
	in.slot, in.some, in.full, in.parked = sl, false, false, true
	s.atBoundary()
	err := s.readMessages()
	if sl.straggler != "" {
		s.srv.arrive(sl)
	}
	if errors.Is(err, errIdle) {
		in.give(s, true)
		s.srv.park(s)
		return
	}
	s.readFailed(err)
	in.give(s, false)
}

// readMessages handles messages until the library returns an error.
func (s *Session) readMessages() error {
	ctx := context.Background() // a context that ends would close the connection; deadlines are the conn's
	for {
		typ, r, err := s.in.ws.Reader(ctx)
		if err != nil {
			return err
		}
		s.in.message = true
		buf := messages.Get().(*[]byte)
		b, err := readAll(r, (*buf)[:0])
		s.in.message = false
		if err == nil {
			s.atBoundary()
			err = s.accept(typ, b)
		}
		if cap(b) <= 4096 {
			*buf = b
			messages.Put(buf)
		}
		if err != nil {
			return err
		}
	}
}

// accept judges and handles one data message.
func (s *Session) accept(typ websocket.MessageType, b []byte) error {
	s.srv.Stats.FramesIn.Add(1)
	switch {
	case typ != websocket.MessageText:
		s.Close(closeUnsupported, "text frames only")
	case !utf8.Valid(b):
		s.Close(closeInvalidText, "invalid UTF-8")
	case !s.alive():
		s.linger()
	case !s.spend():
		return nil
	case !s.plain:
		s.handle(b)
	}
	return nil
}

// spend takes a frame off what the session may send; beyond it the frame is answered by rate_limited and, where the
// flood goes on, the session is closed.
func (s *Session) spend() bool {
	now := time.Now().UnixMilli()
	if s.limit.take(now, float32(s.srv.cfg.Server.FramesPerSecond)) {
		return true
	}
	if !s.bad.take(now, badPerSecond) {
		s.Close(closeFlood, "too many frames")
		return false
	}
	if !s.plain {
		s.fail("", errRateLimited, "too many frames: send fewer than "+s.srv.frameLimit+" a second")
	}
	return false
}

// How fast a session is read that is being closed.
const (
	lingerFrames = 256
	lingerPause  = 100 * time.Millisecond
)

// linger goes on reading a session that has been told goodbye: only the peer's close frame is still awaited, whatever
// comes before it. A peer that floods it is made to wait, since each frame costs more to read than to send; a pool
// worker does not wait with it.
func (s *Session) linger() {
	s.yield()
	if s.in.late++; s.in.late%lingerFrames == 0 {
		time.Sleep(lingerPause)
	}
}

// badPerSecond is how many frames a session may send that are wrong or too many before it is closed: the burst and,
// after it, the rate.
const badPerSecond = 20

// readFailed ends the session after its reading side did.
func (s *Session) readFailed(err error) {
	var ne net.Error
	switch code := websocket.CloseStatus(err); {
	case code != -1:
		s.noteClose(int(code))
	case errors.Is(err, websocket.ErrMessageTooBig), errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, errFlood),
		errors.As(err, &ne):
	default:
		s.Close(closeProtocol, "protocol error") // the library has said which, if it could
	}
	s.leave()
}

// noteClose remembers the peer's close code, unless we were first.
func (s *Session) noteClose(code int) {
	s.mu.Lock()
	if s.closing == 0 || s.closing == 1006 {
		s.closing = code
	}
	s.mu.Unlock()
}

// readAll is io.ReadAll into a given buffer.
func readAll(r io.Reader, b []byte) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return b, err
		}
	}
}

// ended tells that the connection is, or is being, closed.
func (s *Session) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// alive tells that neither side has said goodbye.
func (s *Session) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing == 0
}
