package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/router"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/wstest"
)

// setup runs a server with a channel c, whose user is what the token says; checking it takes as long as delay. The
// token refused is, and with the token down the database is.
func setup(t *testing.T, delay time.Duration) (*Server, string) {
	t.Helper()
	cfg := &config.Config{Auth: config.Auth{Deadline: 20 * time.Second}, Server: config.Server{
		MaxConnections: 100, MaxConnectionsPerUser: 100, MaxConnectionsPerAddress: 100, MaxSubscriptions: 10,
		FramesPerSecond: 50, Drain: time.Second,
	}}
	fields := map[string]map[string]bool{"": {}, "rows": {}}
	var srv *Server
	var err error
	srv, err = New(Options{
		Config: cfg, Log: zap.NewNop(),
		Channels: map[string]Channel{"c": {Router: router.NewChannel("c", true, true, func() { srv.Wake() }), Fields: fields}},
		Identify: func(_ context.Context, token string) (*audience.Identity, error) {
			pace(delay)
			switch token {
			case "refused":
				return nil, &audience.Refusal{Reason: "signature does not match"}
			case "down":
				return nil, errors.New("dial tcp: connection refused")
			}
			grants := []string{change.Scope("", "user:"+token)}
			return &audience.Identity{User: token, Expires: time.Now().Add(time.Hour), Grants: grants}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	mux := http.NewServeMux()
	mux.Handle("/ws", srv)
	mux.Handle("/ws/", srv)
	mux.HandleFunc("/sse", srv.ServeEvents)
	mux.HandleFunc("/sse/", srv.ServeEvents)
	h := httptest.NewServer(mux)
	t.Cleanup(func() {
		h.Close()
		srv.Stop()
	})
	return srv, strings.TrimPrefix(h.URL, "http://")
}

// peer is a client that speaks WebSocket by hand.
type peer struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

// dial opens /ws, with a token if there is one, and reads the welcome.
func dial(t *testing.T, addr, token string) *peer {
	t.Helper()
	nc := wstest.Dial(t, addr)
	header := ""
	if token != "" {
		header = "Authorization: Bearer " + token + "\r\n"
	}
	fmt.Fprintf(nc, "GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rowfeed.v1\r\n%s\r\n", header)
	r := bufio.NewReader(nc)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v %v", res, err)
	}
	p := &peer{nc, r, t}
	if token != "" {
		p.expect(`"welcome"`)
	}
	return p
}

// expect reads JSON frames until one holds the text.
func (p *peer) expect(text string) {
	p.t.Helper()
	for {
		s, err := p.r.ReadString('}')
		if err != nil {
			p.t.Fatalf("want %s, got %q %v", text, s, err)
		}
		if strings.Contains(s, text) {
			return
		}
	}
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// masked makes a client's frame with a mask of zeros.
func masked(first byte, payload string) []byte {
	b := []byte{first, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		b = []byte{first, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload))}
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// session returns the server's only one.
func (srv *Server) session(t *testing.T) *Session {
	t.Helper()
	all := srv.all()
	if len(all) != 1 {
		t.Fatalf("want one session, there are %d", len(all))
	}
	return all[0]
}

// until waits for what can only be looked at.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); pace(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
	}
}

// pace spaces bytes on the wire, where slowness itself is what is tested.
func pace(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}
