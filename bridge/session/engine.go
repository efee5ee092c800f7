package session

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// engine is a connection of the WebSocket library with its buffers: it reads one session at a time and belongs to it
// only while there is something to read. Between two messages the library's connection holds nothing of the peer, so
// a few engines read all sessions, and a session at rest costs none of the two kilobytes that one takes.
type engine struct {
	ws *websocket.Conn
	br *bufio.Reader
	// s is nil while the engine is idle; a timer of the library's may look here.
	s atomic.Pointer[Session]

	// State of the session that is being read, of the goroutine that reads it.
	early    []byte    // bytes that came with the handshake
	parked   bool      // reads at a boundary don't wait
	boundary bool      // the next read would begin a frame
	message  bool      // inside a message of several reads
	some     bool      // something was read since the session was woken
	full     bool      // the last read filled its buffer: there may be more
	began    time.Time // when the message at hand was first waited for
	size     int       // bytes on the wire of the message at hand, and of the control frames between
	late     int       // frames that came after the session's goodbye
	slot     *slot
	out      []byte // pieces of a frame that the library is writing
	op       readOp
}

const (
	readBuffer  = 1 << 10
	writeBuffer = 16 // the library's own writes are control frames: conn puts them together
)

// connection makes the engine's connection and buffers, as the library takes them from Hijack.
func (e *engine) connection() (net.Conn, *bufio.ReadWriter) {
	c := &conn{e: e}
	e.br = bufio.NewReaderSize(c, readBuffer)
	return c, bufio.NewReadWriter(e.br, bufio.NewWriterSize(c, writeBuffer))
}

// accept has the library make its connection over a handshake.
func (e *engine) accept(w http.ResponseWriter, r *http.Request, protocol string) error {
	e.op.fn = e.op.call
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{protocol},
		InsecureSkipVerify: true, // the Origin was judged by the configured list
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived: func(context.Context, []byte) bool {
			s := e.s.Load()
			return s != nil && s.control()
		},
		OnPongReceived: func(context.Context, []byte) {
			if s := e.s.Load(); s != nil {
				s.control()
			}
		},
	})
	if err != nil {
		return err
	}
	// The session closes its socket itself. What has a finalizer is never collected while it is part of a cycle, and a
	// session that is being read is one.
	runtime.SetFinalizer(ws, nil)
	ws.SetReadLimit(maxFrame)
	e.ws = ws
	return nil
}

// engines are idle ones: few, since few sessions are read at the same time.
var engines = make(chan *engine, 32)

// anEngine returns an idle engine.
func anEngine() *engine {
	select {
	case e := <-engines:
		return e
	default:
		return newEngine()
	}
}

func newEngine() *engine {
	e := &engine{}
	if err := e.accept(&rehearsal{e: e}, rehearsed, ""); err != nil {
		panic("session: " + err.Error()) // the request below is a good one
	}
	return e
}

// rehearsed is a handshake that never happened: an engine that is made later needs one to come into being.
var rehearsed = &http.Request{Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{
	"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
	"Sec-Websocket-Key": {"cm93ZmVlZCBlbmdpbmUhIQ=="},
}}

// rehearsal answers it into nowhere.
type rehearsal struct {
	e      *engine
	header http.Header
}

// Header implements http.ResponseWriter.
func (r *rehearsal) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

// Write implements http.ResponseWriter.
func (r *rehearsal) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter.
func (r *rehearsal) WriteHeader(int) {}

// Hijack implements http.Hijacker.
func (r *rehearsal) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw := r.e.connection()
	return c, rw, nil
}

// take makes the engine the session's.
func (e *engine) take(s *Session) {
	e.s.Store(s)
	s.in, e.late = e, 0
}

// give takes it from the session again; idle when it can read another.
func (e *engine) give(s *Session, idle bool) {
	s.in = nil
	e.s.Store(nil)
	if idle {
		e.early, e.slot, e.out = nil, nil, nil
		select {
		case engines <- e:
		default:
		}
	}
}

// conn is the connection as the library sees it. The library reads, writes and closes; it asks for nothing else.
type conn struct {
	net.Conn // nil
	e        *engine
}

// Write queues what the library wants to say: pongs and close frames.
func (c *conn) Write(b []byte) (int, error) {
	if s := c.e.s.Load(); s != nil {
		c.e.wrote(s, b)
	}
	return len(b), nil
}

// Close is the library's end of the connection: what is queued still leaves.
func (c *conn) Close() error {
	if s := c.e.s.Load(); s != nil {
		s.leave()
	}
	return nil
}

// wrote takes a control frame, which comes in pieces since the library's buffer is small, and queues it when it is
// whole.
func (e *engine) wrote(s *Session, b []byte) {
	e.out = append(e.out, b...)
	for len(e.out) >= 2 {
		n := 2 + int(e.out[1]&0x7f)
		if len(e.out) < n {
			return
		}
		s.queueControl(bytes.Clone(e.out[:n]))
		e.out = e.out[n:]
	}
}

// readOp is one non-blocking read, reused.
type readOp struct {
	p     []byte
	n     int
	errno error
	fn    func(fd uintptr) bool
}

var _ net.Conn = (*conn)(nil)
var _ syscall.Conn = (*net.TCPConn)(nil)
