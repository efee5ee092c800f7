package session

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/router"
)

// call is a request for a stream of Server-Sent Events that has been found to be one.
type call struct {
	target
	request router.Request // of a GET: what its path subscribes to
	from    router.From    // likewise, and where it goes on
	token   string
}

// ServeEvents answers /sse and what is below it with a stream of Server-Sent Events: GET /sse/{channel}… is for
// EventSource and carries events only, POST /sse takes subscriptions in its body and answers them in the stream. What
// is wrong before the stream begins is an HTTP error; its body is JSON with error, a word, and message.
func (srv *Server) ServeEvents(w http.ResponseWriter, r *http.Request) {
	allowed := srv.allowOrigin(w.Header(), r)
	if r.Header.Get("Origin") != "" && !allowed {
		srv.reject(w, refusal{http.StatusForbidden, "origin_not_allowed", "origin not in server.allowed_origins"})
		return
	}
	if r.Method == http.MethodOptions {
		preflight(w.Header(), allowed)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	c, err := srv.readCall(r, allowed)
	if err != nil {
		srv.reject(w, err)
		return
	}
	s := &Session{
		srv: srv, id: srv.nextID.Add(1), slot: -1, address: srv.address(r), plain: c.plain(), sse: true,
		q: queue{sse: true},
	}
	srv.register(s)
	defer s.rescue()
	err = srv.openStream(w, r, s, c)
	if err == nil {
		err = s.attach(w)
	}
	if err != nil {
		s.noteClose(closeCode(err))
		s.kill()
		srv.reject(w, err)
		return
	}
	srv.Stats.Accepted.Add(1)
	if !s.begin() {
		s.nc.Close() // ended before it had a socket
		return
	}
	if s.raw != nil {
		srv.park(s)
		return
	}
	srv.wg.Go(s.discardBlocking)
}

// readCall checks all of a request that can be checked without knowing who asks.
func (srv *Server) readCall(r *http.Request, allowed bool) (call, error) {
	t, ok := parseTarget(r.URL, "/sse")
	c := call{target: t}
	switch {
	case !ok:
		return c, refusal{http.StatusNotFound, "not_found", "no such endpoint: use POST /sse, or GET /sse/{channel}[/{resource}[/{key}]]"}
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		return c, refusal{http.StatusMethodNotAllowed, "method_not_allowed", "use GET /sse/{channel}, or POST /sse"}
	case r.Method == http.MethodPost && t.plain():
		return c, refusal{http.StatusMethodNotAllowed, "method_not_allowed",
			`a path is subscribed to by GET; POST /sse names its subscriptions in the body`}
	case r.Method == http.MethodGet && !t.plain():
		return c, refusal{http.StatusBadRequest, errBadRequest,
			`name a channel: GET /sse/{channel}[/{resource}[/{key}]]; or POST /sse with {"subscriptions":[{"channel":…}]}`}
	case encoded(r):
		return c, refusal{http.StatusUnsupportedMediaType, "unsupported_encoding", "the body is compressed: send it as it is"}
	case srv.draining.Load():
		return c, refusal{http.StatusServiceUnavailable, "draining", "this node is going away: try again"}
	}
	var err error
	c.token, _, err = audience.Credentials(r, srv.cfg.Auth.JWT, allowed)
	if bad, ok := errors.AsType[*audience.Refusal](err); ok {
		return c, verdict{closeAuthFailed, bad.Reason}.refusal(true)
	}
	if err != nil {
		return c, refusal{http.StatusBadRequest, errBadRequest, err.Error()}
	}
	if t.plain() {
		if c.request, err = srv.plainRequest(t); err != nil {
			return c, refusal{http.StatusNotFound, errUnknownChannel, err.Error()}
		}
		if cursor := streamCursor(r, t); cursor != "" {
			c.from.Cursor = cursorOf(cursor)
		}
	}
	return c, nil
}

// encoded tells that the body of a request is compressed, which it may not be: a few bytes could become many.
func encoded(r *http.Request) bool {
	for _, coding := range r.Header.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return true
		}
	}
	return false
}

// openStream finds out who asks and subscribes: what happens from now on waits in the queue.
func (srv *Server) openStream(w http.ResponseWriter, r *http.Request, s *Session, c call) error {
	if v := srv.admit(s); v.code != 0 {
		return v.refusal(true)
	}
	who, v := srv.login(r.Context(), s, c.token) // before the body is read, which may take its time
	if v.code != 0 {
		return v.refusal(c.token != "")
	}
	var wanted []clientFrame
	if !s.plain {
		var err error
		if wanted, err = readSubscriptions(w, r); err != nil {
			return err
		}
	}
	if s.plain {
		s.enroll(srv.channels[c.channel], c.request, c.from, nil)
		if !c.from.Past() {
			s.nameStream(map[string]*change.Message{})
		}
		return nil
	}
	s.Send(welcomeFrame(s, who))
	s.subscribeAll(wanted)
	return nil
}

// streamCursor returns where a GET goes on from: Last-Event-ID is what an EventSource has heard last, and newer than
// what its URL says since it was made.
func streamCursor(r *http.Request, t target) string {
	switch id := r.Header.Get("Last-Event-ID"); id {
	case "":
		return t.cursor
	case idLive:
		return ""
	default:
		return id
	}
}

// attach takes the connection from net/http, and puts the response's head before what waits already.
func (s *Session) attach(w http.ResponseWriter) error {
	nc, _, err := http.NewResponseController(w).Hijack() // clears the server's deadlines; what came after the head is ignored
	if err != nil {
		s.srv.log.Error("connection not taken over", zap.Error(err))
		return refusal{http.StatusHTTPVersionNotSupported, "not_supported", "connect by HTTP/1.1: streams need a connection of their own"}
	}
	if tcp, ok := nc.(*net.TCPConn); ok && parking {
		if raw, err := tcp.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	withSocket(nc, func(raw syscall.RawConn) {
		limitUnsent(raw)
		setUserTimeout(raw, silence) // nobody answers the heartbeats of a stream
	})
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&b) // a buffer takes everything
	// Not all at once where many have lost their connection together.
	fmt.Fprintf(&b, "\r\nretry: %d\n\n", 1000+rand.IntN(2000))
	s.mu.Lock()
	s.nc = nc
	head := change.NewRaw(b.Bytes())
	s.q.items = append([]*change.Message{head}, s.q.items...)
	s.q.count(head, 1)
	s.q.opening = true
	s.attached = true
	s.mu.Unlock()
	return nil
}

// withSocket has a function set options of a connection's socket, under TLS too.
func withSocket(nc net.Conn, set func(syscall.RawConn)) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			set(raw)
		}
	}
}

// closeCode is what a refused connection is counted as.
func closeCode(err error) int {
	var v refusal
	if !errors.As(err, &v) {
		return closeAbnormal
	}
	switch v.status {
	case http.StatusUnauthorized:
		return closeAuthFailed
	case http.StatusTooManyRequests:
		return closeConnectionLimit
	case http.StatusServiceUnavailable:
		return closeTryLater
	}
	return closeProtocol
}
