package session

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

// stream opens GET /sse/c and reads the response's head.
func stream(t *testing.T, addr, token string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	fmt.Fprintf(nc, "GET /sse/c HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer %s\r\n\r\n", token)
	p := &peer{nc, bufio.NewReader(nc), t}
	for line := ""; line != "\r\n"; {
		if line, err = p.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// next reads to an empty line.
func (p *peer) next() (block string) {
	p.t.Helper()
	for !strings.HasSuffix(block, "\n\n") {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.t.Fatalf("after %q: %v", block, err)
		}
		if block += line; line == "\n" {
			return block
		}
	}
	return block
}

// A node that is going away, and one whose database does not answer, say so before there is a stream.
func TestStreamUnavailable(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	get := func(token string) (int, http.Header, string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/sse/c", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, res.Header, string(b)
	}
	if status, h, text := get("down"); status != 503 || h.Get("Retry-After") == "" || !strings.Contains(text, "unavailable") {
		t.Errorf("database down: got %d %v %s", status, h, text)
	}
	if status, h, text := get("refused"); status != 401 || !strings.Contains(text, "signature does not match") ||
		h.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
		t.Errorf("refused: got %d %v %s", status, h, text)
	}
	srv.draining.Store(true)
	if status, h, text := get("1"); status != 503 || h.Get("Retry-After") == "" || !strings.Contains(text, "draining") {
		t.Errorf("draining: got %d %v %s", status, h, text)
	}
	until(t, "nothing is left", func() bool { return srv.Stats.Open.Load() == 0 })
	if n := srv.Stats.Refused.Load(); n != 3 {
		t.Errorf("%d refusals counted", n)
	}
	if got := fmt.Sprint(srv.Stats.Closes()); got != "map[1013:1 4501:1]" {
		t.Errorf("closes: %s", got)
	}
}

// Server-Sent Events are to the byte what the golden files say.
func TestWireStream(t *testing.T) {
	t.Parallel()
	payload := func(file string) []byte {
		b, err := os.ReadFile("../../test/testdata/wire/" + file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var golden struct{ Frame json.RawMessage }
		if err := json.Unmarshal(b, &golden); err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := json.Compact(&text, golden.Frame); err != nil {
			t.Fatal(err)
		}
		return text.Bytes()
	}
	event := func(file, cursor string) *change.Message {
		m := change.NewMessage(512, func(dst []byte) []byte { return append(dst, payload(file)...) })
		m.Cursor = cursor
		return m
	}
	sent := map[string]*change.Message{
		"event":          event("event-stock-changed", ""),
		"event-cursor":   event("event-cursor", "7f3a:4711"),
		"events-joined":  change.Join([]*change.Message{event("event-stock-changed", "7f3a:4711"), event("event-low-stock", "7f3a:4711")}),
		"answer":         subscribedFrame("1", false),
		"heartbeat":      beatEvent("stock", ""),
		"heartbeat-id":   beatEvent("stock", "7f3a:4711"),
		"close":          closeEvent(closeAuthExpired, "auth_expired"),
		"close-resync":   closeEvent(closeResync, "resync: cursor_expired"),
		"close-grants":   closeEvent(closeGrantsChanged, "grants_changed"),
		"close-draining": closeEvent(closeDraining, "draining; retry_ms=1500"),
	}
	files, err := filepath.Glob("../../test/testdata/wire/sse/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := sent[name]
		if m == nil {
			t.Errorf("%s: nothing sends it", name)
			continue
		}
		if got := m.Stream(); !bytes.Equal(got, want) {
			t.Errorf("%s: sends %q, golden is %q", name, got, want)
		}
		delete(sent, name)
	}
	for name, m := range sent {
		t.Errorf("%s: no golden file for %q", name, m.Stream())
	}
}

const noCursor = "event: heartbeat\ndata: {\"type\":\"heartbeat\",\"cursors\":{}}\n\n"

// A client that can't answer heartbeats is not taken for a silent one; the first one with a cursor does not wait for
// its time.
func TestStreamHeartbeat(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	p := stream(t, addr, "1")
	if b := p.next(); !strings.HasPrefix(b, "retry: ") {
		t.Errorf("first of all: %q", b)
	}
	srv.session(t).lastIn.Store(0)
	srv.session(t).beat(time.Now(), map[string]*change.Message{})
	if b := p.next(); b != noCursor {
		t.Errorf("got %q", b)
	}
	srv.channels["c"].Router.Settle("7f3a:4711")
	if b := p.next(); !strings.Contains(b, "id: 7f3a:4711\n") {
		t.Errorf("after the first cursor: %q", b)
	}
	early := stream(t, addr, "1")
	early.next()
	if b := early.next(); !strings.Contains(b, "id: 7f3a:4711\n") {
		t.Errorf("at once: %q", b)
	}
}

// A stream outlives the limits of the server that it began in: those are of requests.
func TestStreamOutlivesServerTimeouts(t *testing.T) {
	t.Parallel()
	srv, _ := setup(t, 0)
	const limit = 50 * time.Millisecond
	h := httptest.NewUnstartedServer(http.HandlerFunc(srv.ServeEvents))
	h.Config.ReadTimeout, h.Config.WriteTimeout, h.Config.IdleTimeout = limit, limit, limit
	h.Start()
	t.Cleanup(h.Close)
	p := stream(t, strings.TrimPrefix(h.URL, "http://"), "1")
	p.next()
	pace(3 * limit)
	p.send([]byte("x"))
	srv.session(t).beatStream(map[string]*change.Message{})
	if b := p.next(); b != noCursor {
		t.Errorf("want a heartbeat, got %q", b)
	}
}

// A stream whose queue passes its bounds ends with an event that says so, in the place of what waited.
func TestStreamOverflow(t *testing.T) {
	t.Parallel()
	srv, addr := setup(t, 0)
	p := stream(t, addr, "1")
	p.next()
	s := srv.session(t)
	until(t, "the writer is done", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.scheduled {
			return false
		}
		s.scheduled = true // as while the socket is full
		return true
	})
	m := message("a", change.Update, change.Whole, false, 10<<10)
	sent := 0
	for ; s.alive(); sent++ {
		s.Send(m)
	}
	if kept := sent * len(m.Stream()) * 2; kept > maxQueueBytes+len(m.Stream())*4 {
		t.Errorf("%d messages were queued, which keep %d bytes", sent, kept)
	}
	s.drain()
	if !s.ended() {
		t.Error("the connection does not end with the close event")
	}
	if b := p.next(); b != "event: close\ndata: {\"code\":4001,\"reason\":\"slow_consumer\"}\n\n" {
		t.Errorf("got %q", b)
	}
	if _, err := p.r.ReadByte(); err != io.EOF {
		t.Errorf("after the close event: %v", err)
	}
}

// FuzzSubscriptions: whatever the body of a POST holds, it is taken as a whole or refused in a few words.
func FuzzSubscriptions(f *testing.F) {
	for _, seed := range []string{
		`{"subscriptions":[{"ref":"1","channel":"c","resource":"rows","key":[1,"a"],"where":{"n":[1,null]},"cursor":"a:b","rewind":5}]}`,
		`{"subscriptions":[{}]}`, `{"subscriptions":[null]}`, `{"subscriptions":null}`, `{"Subscriptions":[{}]}`, `null`, `[]`, `{`,
		`{"subscriptions":[{"channel":"c","channel":"d"}],"subscriptions":[]}`, `{"token":"x"}`, "\xff", `{"subscriptions":[[]]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseSubscriptions(b)
		switch {
		case err != nil && (len(err.Error()) > 2000 || strings.ContainsAny(err.Error(), "\n\r") || list != nil):
			t.Errorf("error of %d bytes: %q", len(err.Error()), err)
		case err == nil && (list == nil || len(list) > len(b)):
			t.Errorf("%d subscriptions of %d bytes", len(list), len(b))
		case err == nil && !json.Valid(b):
			t.Errorf("taken: %q", b)
		}
		for _, sub := range list {
			if sub.Type != "" || sub.Token != "" || sub.Subscription != "" {
				t.Errorf("fields of other frames: %+v", sub)
			}
		}
	})
}
