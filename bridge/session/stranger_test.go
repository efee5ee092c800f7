package session

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"nalar.internal/rowfeed/test/wstest"
)

// status opens /ws without a token and returns what HTTP says.
func status(t *testing.T, addr string) (net.Conn, int) {
	t.Helper()
	nc := wstest.Dial(t, addr)
	fmt.Fprint(nc, "GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rowfeed.v1\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	return nc, res.StatusCode
}

// Of one address a quarter of the places is for strangers, of whom the one that has waited longest makes room; who is
// known finds the others, and who says who it is, as a first frame, is let in beside a flood of those who don't.
func TestStrangersOfAnAddress(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	first, _ := status(t, addr)
	for i := range 25 {
		if _, code := status(t, addr); code != http.StatusSwitchingProtocols {
			t.Fatalf("stranger %d: HTTP %d", i, code)
		}
	}
	if _, err := first.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the one that has waited longest: got %v, want the end", err)
	}
	late := dial(t, addr, "")
	late.send(masked(0x81, `{"type":"auth","token":"late"}`))
	late.expect("welcome")
	for i := range 75 {
		dial(t, addr, fmt.Sprint(i))
	}
	until(t, "100 are there", func() bool { return srv.Stats.Open.Load() == 100 })
	if n := srv.Stats.Evicted.Load(); n != 2 {
		t.Errorf("%d made room, want 2", n)
	}
}

// Where the places for strangers are full, or all places are, the stranger that has waited longest makes room; those
// who are known stay.
func TestStrangersMakeRoom(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	srv.cfg.Server.MaxConnectionsPerAddress = 1000
	known := dial(t, addr, "me")
	first, _ := status(t, addr)
	for range 24 {
		status(t, addr)
	}
	second := dial(t, addr, "") // a stranger who then says who it is, and is one no more
	if _, err := first.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the one that has waited longest: got %v, want the end", err)
	}
	second.send(masked(0x81, `{"type":"auth","token":"late"}`))
	second.expect("welcome")
	for i := range 98 { // full, but for strangers, of whom there are 24
		dial(t, addr, fmt.Sprint(i))
	}
	until(t, "all strangers are gone", func() bool { return srv.Stats.Open.Load() == 100 })
	if n := srv.Stats.Evicted.Load(); n != 25 {
		t.Errorf("%d made room, want 25", n)
	}
	for _, p := range []*peer{known, second} {
		p.send(masked(0x81, `{"type":"ping"}`))
		p.expect("pong")
	}
	p := dial(t, addr, "")
	if b, err := p.r.Peek(4); err != nil || string(b[2:4]) != "\x11\x98" { // 4504
		t.Errorf("one more where all are known: %q %v", b, err)
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if n := srv.strangers.Len(); n > 1 || len(srv.strangersOf) > 1 {
		t.Errorf("%d strangers, of %d addresses", n, len(srv.strangersOf))
	}
}

// What strangers are counted by is given back when they go.
func TestStrangersGo(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	for range 3 {
		for range 20 {
			nc, _ := status(t, addr)
			nc.Close()
		}
		until(t, "all gone", func() bool { return srv.Stats.Open.Load() == 0 })
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.strangers.Len() != 0 || len(srv.strangersOf) != 0 || len(srv.addresses) != 0 {
		t.Errorf("left: %d, %v, %v", srv.strangers.Len(), srv.strangersOf, srv.addresses)
	}
}

// A compressed body is refused before a byte of it is read.
func TestCompressedBody(t *testing.T) {
	t.Parallel()
	_, addr := setup(t, 0)
	for coding, want := range map[string]int{"gzip": 415, "br": 415, "identity, gzip": 415, "x": 415, "Identity": 200, "": 200} {
		req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/sse", strings.NewReader(`{"subscriptions":[{"channel":"c"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {"Bearer 1"}, "Content-Encoding": {coding}}
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("Content-Encoding %q: HTTP %d, want %d", coding, res.StatusCode, want)
		}
	}
}
