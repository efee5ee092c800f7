package bridge

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/operate"
)

// serving is the state of the HTTP side.
type serving struct{ draining atomic.Bool }

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
		certs := &certificates{cert: t.CertFile, key: t.KeyFile}
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
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", b.readyz)
	all := []func(context.Context) error{b.server(l.public, mux)}
	if l.admin != nil {
		admin := http.NewServeMux()
		admin.Handle("GET /metrics", b.metrics.Handler())
		admin.HandleFunc("GET /healthz", healthz)
		admin.HandleFunc("GET /readyz", b.readyz)
		all = append(all, b.server(l.admin, operate.Guard(b.cfg.Server.AdminListen, b.who.Operator, admin)))
	}
	return all
}

func (b *Bridge) server(l net.Listener, h http.Handler) func(context.Context) error {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: zap.NewStdLog(b.log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))),
	}
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

// readyz answers 200 when changes reach subscribers, and 503 with each reason why not.
func (b *Bridge) readyz(w http.ResponseWriter, _ *http.Request) {
	reasons := b.reasons()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(struct {
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons,omitempty"`
	}{len(reasons) == 0, reasons})
}

// staleSweep is after how long without a sweep a channel is not ready: heartbeats come each second.
const staleSweep = 5 * time.Second

func (b *Bridge) reasons() []string {
	var reasons []string
	if b.serving.draining.Load() {
		reasons = append(reasons, "this node is draining")
	}
	for _, c := range b.channels {
		st := &c.feed.Stats
		switch {
		case !st.Connected.Load():
			reasons = append(reasons, "channel "+c.name+": no connection to the database")
		case time.Since(time.UnixMicro(st.Swept.Load())) > staleSweep:
			reasons = append(reasons, "channel "+c.name+": the database has not answered a sweep for 5 s")
		case !st.Listening.Load() && b.cfg.Channels[c.name].Wake != "sweep":
			reasons = append(reasons, "channel "+c.name+": not listening, changes are found once a second only")
		}
	}
	return reasons
}

// certificates reads the certificate files again when they have changed.
type certificates struct {
	cert, key string
	mu        sync.Mutex
	current   *tls.Certificate
	at        time.Time
	checked   time.Time
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && time.Since(c.checked) < time.Second {
		return c.current, nil
	}
	c.checked = time.Now()
	info, err := os.Stat(c.cert)
	if err == nil && (c.current == nil || !info.ModTime().Equal(c.at)) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.cert, c.key); err == nil {
			c.current, c.at = &pair, info.ModTime()
		}
	}
	if c.current == nil {
		return nil, err
	}
	return c.current, nil // a file that can't be read keeps the old certificate
}
