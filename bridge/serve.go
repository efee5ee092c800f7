package bridge

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/operate"
	"nalar.internal/rowfeed/bridge/source"
)

// serving is the state of the HTTP side.
type serving struct{ started, draining atomic.Bool }

// listeners are the bridge's open ports.
type listeners struct {
	public net.Listener
	admin  net.Listener // nil: none
}

func (l *listeners) close() {
	l.public.Close()
	if l.admin != nil {
		l.admin.Close()
	}
}

// listen opens the ports before anything runs, so that one in use is an error at start.
func (b *Bridge) listen() (*listeners, error) {
	public, err := open("server.listen", b.cfg.Server.Listen)
	if err != nil {
		return nil, err
	}
	l := &listeners{public: public}
	if t := b.cfg.Server.TLS; t.CertFile != "" {
		certs := &certificates{cert: t.CertFile, key: t.KeyFile, log: b.log}
		if _, err := certs.get(nil); err != nil {
			public.Close()
			return nil, fmt.Errorf("read server.tls: %w", err)
		}
		l.public = tls.NewListener(public, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certs.get})
	}
	if b.cfg.Server.AdminListen != "" {
		if l.admin, err = open("server.admin_listen", b.cfg.Server.AdminListen); err != nil {
			l.public.Close()
			return nil, err
		}
	}
	return l, nil
}

func open(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: the port is in use: stop what uses it, or change %s", address, key)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (%s): %w", address, key, err)
	}
	return l, nil
}

// servers returns what serves the open ports until its context ends.
func (b *Bridge) servers(l *listeners) []func(context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("/ws", b.sessions)
	mux.Handle("/ws/", b.sessions)
	mux.HandleFunc("/sse", b.sessions.ServeEvents)
	mux.HandleFunc("/sse/", b.sessions.ServeEvents)
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", b.readyz)
	all := []func(context.Context) error{b.server(l.public, operate.Headers(mux), b.lobby)}
	if l.admin != nil {
		admin := http.NewServeMux()
		admin.Handle("GET /metrics", b.metrics.Handler())
		(&operate.Admin{Ask: b.ask, Sessions: b.sessions, Tables: b.drift.list, Log: b.log}).Handle(admin)
		admin.HandleFunc("GET /healthz", healthz)
		admin.HandleFunc("GET /readyz", b.readyz)
		all = append(all, b.server(l.admin, operate.Guard(b.cfg.Server.AdminListen, b.who.Operator, admin),
			operate.NewLobby(minHalfOpen)))
	}
	return all
}

// Limits of requests; a connection that is upgraded leaves them behind.
const (
	requestTimeout = 10 * time.Second // to read a request; its head, and the handshake of TLS before it, have auth.deadline
	maxHeader      = 16 << 10         // bytes, to which net/http adds 4 KiB
	minHalfOpen    = 64               // connections without a request, however few max_connections there are
)

// server serves a port.
func (b *Bridge) server(l net.Listener, h http.Handler, lobby *operate.Lobby) func(context.Context) error {
	s := &http.Server{
		Handler: h, ReadTimeout: requestTimeout, ReadHeaderTimeout: min(requestTimeout, b.cfg.Auth.Deadline),
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: maxHeader, ErrorLog: log.New(serverLog{b.log}, "", 0),
	}
	lobby.Watch(s)
	return func(ctx context.Context) error {
		done := make(chan struct{})
		go func() {
			defer close(done)
			<-ctx.Done()
			limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if s.Shutdown(limit) != nil {
				s.Close()
			}
		}()
		err := s.Serve(l)
		if errors.Is(err, http.ErrServerClosed) {
			<-done
			return nil
		}
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
}

// serverLog takes what net/http says: panics of handlers, ports that can't accept. What any stranger can cause by a
// handshake is for debugging.
type serverLog struct{ log *zap.Logger }

// Write implements io.Writer.
func (l serverLog) Write(p []byte) (int, error) {
	level := zap.ErrorLevel
	if bytes.HasPrefix(p, []byte("http: TLS handshake error")) {
		level = zap.DebugLevel
	}
	l.log.Log(level, "HTTP server", zap.ByteString("said", bytes.TrimSpace(p)))
	return len(p), nil
}

// announce logs where the bridge is.
func (b *Bridge) announce(l *listeners) {
	fields := []zap.Field{zap.String("listen", l.public.Addr().String()), zap.Int("channels", len(b.channels))}
	if l.admin != nil {
		fields = append(fields, zap.String("admin", l.admin.Addr().String()))
	}
	b.log.Info("serving", fields...)
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// readyz answers 200 when changes reach subscribers, and 503 with each reason why not. What somebody should see to, but
// no other node does better, are warnings: a stranger must not make a node unready.
func (b *Bridge) readyz(w http.ResponseWriter, _ *http.Request) {
	reasons := b.reasons()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(struct {
		Ready    bool     `json:"ready"`
		Reasons  []string `json:"reasons,omitempty"`
		Warnings []string `json:"warnings,omitempty"`
	}{len(reasons) == 0, reasons, b.warnings()})
}

// staleSweep is after how long without a sweep a channel is not ready: heartbeats come each second.
const staleSweep = 5 * time.Second

func (b *Bridge) reasons() []string {
	var reasons []string
	if b.serving.draining.Load() {
		reasons = append(reasons, "this node is draining")
	}
	if missing := b.who.Missing(); missing != "" {
		reasons = append(reasons, missing)
	}
	for name, feed := range b.feeds() {
		st := &feed.Stats
		switch {
		case !st.Connected.Load():
			reasons = append(reasons, "channel "+name+": no connection to the database")
		case st.SinceSweep() > staleSweep:
			reasons = append(reasons, "channel "+name+": the database has not answered a sweep for 5 s")
		case st.Polling.Load(): // nothing is to be heard
		case st.Deaf.Load():
			reasons = append(reasons, "channel "+name+": LISTEN is in force, but no notification arrives, so changes are found "+
				"once a second only: a pooler in transaction mode is the usual cause: let database.url name the server itself")
		case !st.Listening.Load():
			reasons = append(reasons, "channel "+name+": not listening, changes are found once a second only")
		}
	}
	return reasons
}

// warnings tell what makes changes come later than they could, or not at all.
func (b *Bridge) warnings() []string {
	list := append(b.drift.warnings(), b.ring.warnings()...)
	for name, feed := range b.feeds() {
		h := feed.Stats.Foreign()
		switch {
		case h != nil:
			list = append(list, fmt.Sprintf("channel %s: session %d of role %s, which is not the bridge's, holds its advisory lock, so "+
				"changes are found ten times a second only: end it", name, h.PID, h.Role))
		case feed.Stats.QueueUsage() > source.HalfFull:
			list = append(list, "channel "+name+": the server's queue of notifications is over half full, so commits don't notify and "+
				"changes are found ten times a second only: end the session that listens and stays in a transaction")
		}
	}
	return list
}

// certificates reads the certificate files again when they have changed.
type certificates struct {
	cert, key string
	log       *zap.Logger
	mu        sync.Mutex
	current   *tls.Certificate
	at        [2]time.Time // when the files were changed that current is of
	refused   [2]time.Time // and those that were told to be no good
	checked   time.Time
}

// get implements tls.Config.GetCertificate. Files that are no good keep the old certificate, and are logged once.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && time.Since(c.checked) < time.Second {
		return c.current, nil
	}
	c.checked = time.Now()
	at := [2]time.Time{changed(c.cert), changed(c.key)}
	if c.current != nil && at == c.at {
		return c.current, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	switch {
	case err == nil:
		c.current, c.at = &pair, at
	case c.current == nil:
		return nil, err
	case at != c.refused:
		c.refused = at
		c.log.Error("new certificate not taken, the old one stays: check server.tls", zap.Error(err))
	}
	return c.current, nil
}

// changed tells when a file was last changed; the zero time where there is none.
func changed(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
