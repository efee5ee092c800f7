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

// idLive is the event id that stands for no cursor. An empty one would not do: not all browsers forget what they had,
// and who was given a cursor in the URL would come back with that one.
const idLive = "live"

// maxIgnored is how much may come after a request whose answer is a stream.
const maxIgnored = 8 << 10

// closeEvent is the last event of a stream. It sees to what an EventSource, which always reconnects by itself, then
// does: not with a cursor that is worth nothing, and not before the time that the reason says.
func closeEvent(code int, reason string) *change.Message {
	var b []byte
	switch code {
	case closeResync, closeGrantsChanged:
		b = append(b, "id: "+idLive+"\n"...)
	case closeDraining:
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

// beatStream sends what is due; what is the same for many sessions is kept in frames.
func (s *Session) beatStream(frames map[string]*change.Message) {
	switch {
	case s.identity() == nil: // its handshake is not over
	case s.plain:
		m, _ := s.pathBeat(frames)
		s.Send(m)
	default:
		s.sendHeartbeat(frames)
	}
}

// nameStream sends a first cursor as soon as there is one: the connection may break before there is an event, and what
// then happens would be missed without a word.
func (s *Session) nameStream(frames map[string]*change.Message) {
	if m, named := s.pathBeat(frames); named {
		s.Send(m)
		return
	}
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	s.srv.unnamed = append(s.srv.unnamed, s)
}

// nameStreams does so for those who had to wait.
func (srv *Server) nameStreams(frames map[string]*change.Message) {
	srv.mu.Lock()
	unnamed := srv.unnamed
	srv.unnamed = nil
	srv.mu.Unlock()
	for _, s := range unnamed {
		if s.alive() {
			s.nameStream(frames)
		}
	}
}

// pathBeat returns the heartbeat of a stream by path, and whether it names a cursor.
func (s *Session) pathBeat(frames map[string]*change.Message) (m *change.Message, named bool) {
	var channel, cursor string
	s.mu.Lock()
	subs := s.subs
	s.mu.Unlock()
	if len(subs) > 0 { // else it has ended meanwhile
		c := subs[0].Channel()
		channel, cursor = c.Name(), c.Cursor(s)
	}
	key := channel + "\x00" + cursor
	if frames[key] == nil {
		frames[key] = beatEvent(channel, cursor)
	}
	return frames[key], cursor != ""
}

// beatEvent is the heartbeat of a path. It has a name of its own, so that onmessage does not hear of it, and data,
// without which Firefox would not keep its id.
func beatEvent(channel, cursor string) *change.Message {
	var cursors [][2]string
	b := []byte("event: heartbeat\n")
	if cursor != "" {
		cursors = append(cursors, [2]string{channel, cursor})
		b = append(b, "id: "+cursor+"\n"...)
	}
	m := change.NewRaw(append(append(append(b, "data: "...), heartbeatText(cursors)...), "\n\n"...))
	m.Beat = true
	return m
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
	defer s.rescue()
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
