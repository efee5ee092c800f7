package session

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"net/http"
	"unicode/utf8"

	"nalar.internal/rowfeed/bridge/change"
)

// upgrader stands between net/http and the WebSocket library: the library gets a connection whose writes go through
// the session's queue.
type upgrader struct {
	http.ResponseWriter
	s      *Session
	in     *engine
	header http.Header
}

// Header returns a header of the upgrader's own until the library has decided.
func (u *upgrader) Header() http.Header { return u.header }

// WriteHeader keeps the 101, which leaves through the queue, and passes any refusal on.
func (u *upgrader) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols {
		return
	}
	for k, v := range u.header {
		u.ResponseWriter.Header()[k] = v
	}
	u.ResponseWriter.WriteHeader(status)
}

// Hijack implements http.Hijacker.
func (u *upgrader) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, buffered, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s := u.s
	if n := buffered.Reader.Buffered(); n > 0 {
		b, _ := buffered.Reader.Peek(n)
		u.in.early = bytes.Clone(b)
	}
	s.nc = nc
	if tcp, ok := nc.(*net.TCPConn); ok && parking {
		if raw, err := tcp.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	withSocket(nc, limitUnsent)
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := u.header.Write(&b); err != nil {
		nc.Close()
		return nil, nil, err
	}
	b.WriteString("\r\n")
	s.mu.Lock()
	head := change.NewRaw(b.Bytes())
	s.q.items = append([]*change.Message{head}, s.q.items...)
	s.q.count(head, 1)
	s.q.opening = true
	s.attached = true
	s.mu.Unlock()
	conn, rw := u.in.connection()
	return conn, rw, nil
}

// leave ends the connection as soon as nothing waits any more.
func (s *Session) leave() {
	s.mu.Lock()
	s.goodbye = true
	s.dropPaused()
	if s.closing == 0 {
		s.closing = 1006
	}
	if !s.closed && s.q.len() > 0 {
		s.setTimer(closeWait, s.kill)
	}
	idle := !s.scheduled && s.q.len() == 0
	kick := s.wantsWriter()
	s.mu.Unlock()
	switch {
	case idle:
		s.kill()
	case kick:
		s.srv.schedule(s, true)
	}
}

// invalidReason closes with 1007: RFC 6455, section 8.1.
var invalidReason = []byte{0x88, 2, 0x03, 0xef}

// queueControl queues the library's pong or close frame; after a close frame of ours nothing may follow. Pongs count to
// the queue's bounds: a peer may ask for them and read slowly.
func (s *Session) queueControl(frame []byte) {
	s.mu.Lock()
	if s.closing != 0 {
		s.mu.Unlock()
		return
	}
	if frame[0]&0xf == 0x8 && len(frame) > 4 && !utf8.Valid(frame[4:]) {
		frame = invalidReason // the library says the peer's reason again without looking at it
	}
	m := change.NewRaw(frame)
	switch {
	case frame[0]&0xf != 0x8:
		if !s.q.push(m) {
			s.overflowLocked()
		}
	default:
		s.dropPaused()
		s.q.append(m)
		s.closing = closeNormal
		if len(frame) >= 4 {
			s.closing = int(binary.BigEndian.Uint16(frame[2:]))
		}
		s.setTimer(closeWait, s.kill)
	}
	kick := s.wantsWriter()
	s.mu.Unlock()
	if kick {
		s.srv.schedule(s, true)
	}
}
