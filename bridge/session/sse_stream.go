package session

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"

	"nalar.internal/rowfeed/bridge/change"
)

// idLive is the event id that stands for no cursor: an EventSource that was given a cursor in its URL brings that one
// with every reconnection, and this one, in Last-Event-ID, has it overruled.
const idLive = "live"

// maxIgnored is how much may come after a request whose answer is a stream.
const maxIgnored = 8 << 10

// commentLine keeps what lies between awake, and is no event.
var commentLine = change.NewRaw([]byte(":\n\n"))

// closeEvent is the last event of a stream; seeded tells that the URL names a cursor. It also sees to what an
// EventSource, which always reconnects by itself, then does: without a cursor that is worth nothing, or not before the
// time that the reason says.
func closeEvent(code int, reason string, seeded bool) *change.Message {
	var b []byte
	switch {
	case code == closeResync && seeded:
		b = append(b, "id: "+idLive+"\n"...)
	case code == closeResync:
		b = append(b, "id:\n"...)
	case code == closeDraining:
		_, ms, _ := strings.Cut(reason, retryAfter)
		b = append(b, "retry: "+ms+"\n"...)
	}
	data, err := json.Marshal(struct {
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	}{code, reason})
	if err != nil { // a number and a string
		panic("session: " + err.Error())
	}
	return change.NewRaw(append(append(append(b, "event: close\ndata: "...), data...), "\n\n"...))
}

// beatStream sends what is due. An id without an event is what an EventSource comes back with.
func (s *Session) beatStream(frames map[string]*change.Message) {
	switch {
	case s.identity() == nil: // its handshake is not over
	case !s.plain:
		s.Send(s.heartbeat(frames))
	default:
		var cursor string
		if c := s.channels(); len(c) == 1 {
			cursor = c[0].Cursor(s)
		}
		if cursor == "" {
			s.Send(commentLine)
			return
		}
		s.Send(change.NewRaw([]byte(":\nid: " + cursor + "\n\n")))
	}
}

// bin is what one goroutine reads into what nobody wants to know.
type bin struct {
	op  readOp
	buf [1 << 10]byte
}

var bins = sync.Pool{New: func() any {
	b := &bin{}
	b.op.fn = b.op.call
	return b
}}

// discard reads what has come without waiting, throws it away, and parks the session. It runs in a pool worker.
func (s *Session) discard() {
	b := bins.Get().(*bin)
	defer bins.Put(b)
	for {
		n, err := b.op.read(s.raw, b.buf[:])
		if errors.Is(err, syscall.EAGAIN) {
			s.srv.park(s)
			return
		}
		if err == nil && n == 0 {
			err = io.EOF
		}
		if !s.ignore(n, err) {
			return
		}
	}
}

// discardBlocking does so for as long as the session lives, where it can't be parked.
func (s *Session) discardBlocking() {
	var b [64]byte
	for {
		n, err := s.nc.Read(b[:])
		if !s.ignore(n, err) {
			return
		}
	}
}

// ignore counts what came from the client; false when it has ended the stream, or was made to.
func (s *Session) ignore(n int, err error) bool {
	s.ignored += n
	switch {
	case s.ignored > maxIgnored:
		s.Close(closeFlood, "nothing is read from a client of Server-Sent Events")
		return false
	case errors.Is(err, io.EOF):
		s.noteClose(closeNormal) // the only way that a client has to say so
		s.leave()
		return false
	case err != nil:
		s.leave()
		return false
	}
	return true
}
