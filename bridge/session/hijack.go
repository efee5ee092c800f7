package session

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"net/http"
	"sync/atomic"

	"nalar.internal/rowfeed/bridge/change"
)

// readBuffer is the session's own read buffer in bytes: enough for a frame's header and a short frame. Longer payloads
// are read past it, straight into the message.
const readBuffer = 128

// upgrader stands between net/http and the WebSocket library: the library gets a connection whose writes go through
// the session's queue, and buffers that are small enough to be kept for a connection at rest.
type upgrader struct {
	http.ResponseWriter
	s      *Session
	link   *link
	header http.Header
	status int
}

// Header returns a header of the upgrader's own until the library has decided.
func (u *upgrader) Header() http.Header { return u.header }

// WriteHeader keeps the 101, which leaves through the queue, and passes any refusal on.
func (u *upgrader) WriteHeader(status int) {
	u.status = status
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
	var early []byte
	if n := buffered.Reader.Buffered(); n > 0 {
		b, _ := buffered.Reader.Peek(n)
		early = bytes.Clone(b)
	}
	s.nc = nc
	if tcp, ok := nc.(*net.TCPConn); ok && parking {
		if raw, err := tcp.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	s.in.early = early
	u.link.s.Store(s)
	conn := &conn{Conn: nc, link: u.link}
	s.br = bufio.NewReaderSize(conn, readBuffer)
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := u.header.Write(&b); err != nil {
		nc.Close()
		return nil, nil, err
	}
	b.WriteString("\r\n")
	s.mu.Lock()
	s.q.items = append([]*change.Message{change.NewRaw(b.Bytes())}, s.q.items...)
	s.q.bytes += b.Len()
	s.attached = true
	s.mu.Unlock()
	return conn, bufio.NewReadWriter(s.br, bufio.NewWriterSize(conn, 16)), nil
}

// link leads from the library's connection to the session until the session has ended, so that what the library may
// still hold (a timer of a control frame) does not hold the session.
type link struct{ s atomic.Pointer[Session] }

// conn is the connection as the library sees it.
type conn struct {
	net.Conn
	*link
}

// Write queues what the library wants to say: pongs and close frames.
func (c *conn) Write(b []byte) (int, error) {
	if s := c.s.Load(); s != nil {
		s.libraryWrote(b)
	}
	return len(b), nil
}

// Close is the library's end of the connection: what is queued still leaves.
func (c *conn) Close() error {
	if s := c.s.Load(); s != nil {
		s.leave()
	}
	return nil
}

// leave ends the connection as soon as nothing waits any more.
func (s *Session) leave() {
	s.mu.Lock()
	s.goodbye = true
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
		s.srv.schedule(s)
	}
}

// libraryWrote takes a control frame, which comes in pieces since the library's buffer is small, and queues it when it
// is whole.
func (s *Session) libraryWrote(b []byte) {
	s.in.out = append(s.in.out, b...)
	for len(s.in.out) >= 2 {
		n := 2 + int(s.in.out[1]&0x7f)
		if len(s.in.out) < n {
			return
		}
		s.queueControl(bytes.Clone(s.in.out[:n]))
		s.in.out = s.in.out[n:]
	}
	if len(s.in.out) == 0 {
		s.in.out = nil
	}
}

// queueControl queues the library's pong or close frame; after a close frame of ours nothing may follow. Pongs count to
// the queue's bounds: a peer may ask for them and read slowly.
func (s *Session) queueControl(frame []byte) {
	s.mu.Lock()
	if s.closing != 0 {
		s.mu.Unlock()
		return
	}
	m := change.NewRaw(frame)
	switch {
	case frame[0]&0xf != 0x8:
		if !s.q.push(m) {
			s.overflowLocked()
		}
	default:
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
		s.srv.schedule(s)
	}
}
