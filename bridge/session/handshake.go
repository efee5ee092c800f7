package session

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/router"
)

const (
	protocolFull  = "rowfeed.v1"
	protocolPlain = "rowfeed.plain"

	// maxFrame is the longest message a client may send, in bytes.
	maxFrame = 32 << 10

	// identifyTimeout bounds what a handshake waits for the database.
	identifyTimeout = 10 * time.Second
)

// verdict says with which code a connection is closed right after the upgrade, so that a browser can tell why; zero
// is a welcome.
type verdict struct {
	code   int
	reason string
}

// ServeHTTP upgrades a connection. What can be told to a browser only after the upgrade is told by a close code.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, ok := parseTarget(r.URL, "/ws")
	switch {
	case !ok:
		srv.refuse(w, http.StatusNotFound, "no such endpoint: use /ws, or /ws/{channel}[/{resource}[/{key}]]")
		return
	case !wantsUpgrade(r):
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		srv.refuse(w, http.StatusUpgradeRequired, "this is a WebSocket endpoint")
		return
	case srv.draining.Load():
		w.Header().Set("Retry-After", "1")
		srv.refuse(w, http.StatusServiceUnavailable, "this node is going away")
		return
	case !t.plain() && !offers(r, protocolFull):
		srv.refuse(w, http.StatusBadRequest, "ask for the subprotocol "+protocolFull+", or connect to /ws/{channel}")
		return
	}
	origin := r.Header.Get("Origin")
	allowed := origin != "" && srv.origins.Allowed(origin)
	token, source, bad := audience.Credentials(r, srv.cfg.Auth.JWT, allowed)
	if errors.Is(bad, audience.ErrTokenInURL) {
		srv.refuse(w, http.StatusBadRequest, bad.Error())
		return
	}
	var request router.Request
	if t.plain() {
		var err error
		if request, err = srv.plainRequest(t); err != nil {
			srv.refuse(w, http.StatusNotFound, err.Error())
			return
		}
	}
	s := &Session{srv: srv, id: srv.nextID.Add(1), plain: t.plain(), slot: -1, address: srv.address(r)}
	s.lastIn.Store(time.Now().UnixMilli())
	srv.register(s)
	defer s.rescue()
	var who *audience.Identity
	v := srv.admit(s)
	if v.code == 0 && origin != "" && !allowed {
		v = verdict{closeOrigin, "origin not in server.allowed_origins"}
	}
	if v.code == 0 && (source != audience.None || t.plain()) {
		who, v = srv.present(r.Context(), s, token, bad)
		if v.code == closeAuthFailed && (source == audience.Cookie || bad != nil) && !t.plain() {
			v = verdict{} // the frame that follows may carry a better one
		}
	}
	if v.code == 0 && t.plain() {
		// Registered before the 101: what happens from now on waits in the queue.
		var from router.From
		if t.cursor != "" {
			from.Cursor = cursorOf(t.cursor)
		}
		s.enroll(srv.channels[t.channel], request, from, nil)
	}
	srv.upgrade(w, r, s, who, v)
}

// upgrade answers the handshake and starts the session, or closes it right away.
func (srv *Server) upgrade(w http.ResponseWriter, r *http.Request, s *Session, who *audience.Identity, v verdict) {
	if who == nil {
		srv.wait(s)
	}
	protocol := protocolFull
	if s.plain {
		protocol = protocolPlain
	}
	in := &engine{}
	in.take(s)
	if err := in.accept(&upgrader{ResponseWriter: w, s: s, in: in, header: http.Header{}}, r, protocol); err != nil {
		srv.Stats.Refused.Add(1)
		in.give(s, false)
		s.kill()
		return
	}
	srv.Stats.Accepted.Add(1)
	switch {
	case v.code != 0:
		srv.log.Debug("connection refused", zap.Int("code", v.code), zap.String("reason", v.reason))
		s.Close(v.code, v.reason)
	case who != nil && !s.plain:
		s.Send(welcomeFrame(s, who))
	}
	if !s.begin() {
		s.nc.Close() // ended before it had a socket
		in.give(s, false)
		return
	}
	if s.raw != nil {
		if len(in.early) > 0 {
			srv.read(s)
			return
		}
		in.give(s, true)
		srv.park(s)
		return
	}
	srv.wg.Go(s.readBlocking)
}

// begin starts the session's clock and sends what waits since the 101; false when the session has ended already.
func (s *Session) begin() bool {
	s.mu.Lock()
	alive := !s.closed
	if s.closing == 0 && !s.closed {
		if s.who == nil {
			s.setTimer(s.srv.cfg.Auth.Deadline, func() { s.Close(closeAuthTimeout, "no token in time") })
		} else {
			s.watchExpiry(s.who)
		}
	}
	kick := s.wantsWriter()
	s.mu.Unlock()
	if kick {
		s.srv.schedule(s, true)
	}
	return alive
}

// control handles a ping or pong: it ends a frame, and counts as one. It tells whether to answer.
func (s *Session) control() bool {
	s.atBoundary()
	if !s.alive() {
		s.linger()
		return false
	}
	now := time.Now().UnixMilli()
	if s.limit.take(now, float32(s.srv.cfg.Server.FramesPerSecond)) {
		return true
	}
	if !s.bad.take(now, badPerSecond) {
		s.Close(closeFlood, "too many frames")
	}
	return false
}

// readBlocking reads for as long as the session lives, where it can't be parked.
func (s *Session) readBlocking() {
	defer s.rescue()
	in := s.in
	in.slot = &slot{}
	s.readFailed(s.readMessages())
	in.give(s, false)
}

// admit checks what counts before it is known who it is. Where the server is full, a stranger makes room.
func (srv *Server) admit(s *Session) verdict {
	c := srv.cfg.Server
	if srv.draining.Load() { // since the handshake began: Drain may not have seen the session
		return verdict{closeDraining, "draining; " + retryAfter + "500"}
	}
	srv.mu.Lock()
	crowded := srv.addresses[s.address] > c.MaxConnectionsPerAddress
	srv.mu.Unlock()
	if crowded {
		return verdict{closeConnectionLimit, "too many connections from this address"}
	}
	if srv.Stats.Open.Load() > int64(c.MaxConnections) && !srv.makeRoom(0) {
		return verdict{closeConnectionLimit, serverFull}
	}
	return verdict{}
}

// serverFull is the one connection_limit that has nothing to do with who is asking.
const serverFull = "this server has too many connections"

// present logs in by what a request brought: a token, or what is bad about it.
func (srv *Server) present(ctx context.Context, s *Session, token string, bad error) (*audience.Identity, verdict) {
	if refusal, ok := errors.AsType[*audience.Refusal](bad); ok {
		return nil, verdict{closeAuthFailed, refusal.Reason}
	}
	return srv.login(ctx, s, token)
}

// authenticate turns a token into an identity or a verdict.
func (srv *Server) authenticate(ctx context.Context, token string) (*audience.Identity, verdict) {
	if token == "" {
		return nil, verdict{closeAuthFailed, "no token"}
	}
	ctx, cancel := context.WithTimeout(ctx, identifyTimeout)
	defer cancel()
	who, err := srv.identify(ctx, token)
	var refusal *audience.Refusal
	switch {
	case err == nil:
		return who, verdict{}
	case errors.As(err, &refusal):
		return nil, verdict{closeAuthFailed, refusal.Reason}
	}
	if now := time.Now().Unix(); srv.unchecked.Swap(now) != now { // anybody can cause it, by a key that nobody knows yet
		srv.log.Warn("token not checked", zap.Error(err))
	}
	return nil, verdict{closeTryLater, "it can't be found out now who you are; try again"}
}

// target is what a URL asks for.
type target struct {
	channel, resource, key string
	keyed                  bool
	cursor                 string
}

func (t target) plain() bool { return t.channel != "" }

// parseTarget reads, below root, /{channel}, /{channel}/{resource} and /{channel}/{resource}/{key}, or nothing; each may
// end in a slash.
func parseTarget(u *url.URL, root string) (target, bool) {
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	rest, ok := strings.CutPrefix(path, root)
	if !ok || rest != "" && rest[0] != '/' {
		return target{}, false
	}
	var parts []string
	if rest != "" {
		parts = strings.Split(rest[1:], "/")
	}
	if len(parts) > 3 {
		return target{}, false
	}
	for i := range parts {
		p, err := url.PathUnescape(parts[i])
		if err != nil || p == "" {
			return target{}, false
		}
		parts[i] = p
	}
	t := target{cursor: u.Query().Get("cursor")}
	switch len(parts) {
	case 3:
		t.key, t.keyed = parts[2], true
		fallthrough
	case 2:
		t.resource = parts[1]
		fallthrough
	case 1:
		t.channel = parts[0]
	}
	return t, true
}

// plainRequest checks that a plain endpoint's channel and resource exist.
func (srv *Server) plainRequest(t target) (router.Request, error) {
	c, ok := srv.channels[t.channel]
	if !ok {
		return router.Request{}, errors.New("no channel " + quote(t.channel))
	}
	if _, ok := c.Fields[t.resource]; !ok {
		return router.Request{}, errors.New("channel " + quote(t.channel) + " has no resource " + quote(t.resource))
	}
	return router.Request{Resource: t.resource, Keyed: t.keyed, Key: t.key}, nil
}

func wantsUpgrade(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// offers tells whether the client offers the subprotocol.
func offers(r *http.Request, protocol string) bool {
	for _, v := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(v, ",") {
			if strings.TrimSpace(p) == protocol {
				return true
			}
		}
	}
	return false
}
