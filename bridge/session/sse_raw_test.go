package session_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/rig"
	"nalar.internal/rowfeed/test/wstest"
)

// rawStream opens a stream by hand and reads its head.
func rawStream(t *testing.T, addr, path, token, version string) *rawConn {
	t.Helper()
	nc := wstest.Dial(t, addr)
	c := &rawConn{nc, bufio.NewReader(nc), t}
	c.send(fmt.Appendf(nil, "GET %s HTTP/%s\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, version, addr, token))
	if line, err := c.r.ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
		t.Fatalf("status line: %q %v", line, err)
	}
	c.until("\r\n")
	return c
}

// until reads to the line.
func (c *rawConn) until(want string) {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("want %q, got %v", want, err)
		}
		if line == want {
			return
		}
	}
}

// A proxy that speaks HTTP/1.0, as nginx does unless told otherwise, gets the stream too: it ends with the connection.
func TestEventsHTTP10(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	c := rawStream(t, r.Addr, "/sse/stock", rig.User(1, clerk), "1.0")
	r.Exec(t, `truncate stock`)
	c.until("event: close\n")
	c.until("\n")
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		t.Errorf("after the close event: %q %v", b, err)
	}
}

// A client that has nothing more to say has gone; one that says too much is sent away; what few bytes come are ignored.
func TestEventsFromClient(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	talker := rawStream(t, r.Addr, "/sse/stock", rig.User(1, clerk), "1.1")
	for range 5 {
		talker.send([]byte("GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"))
	}
	r.Exec(t, `update stock set quantity = 1 where id = 1`)
	if line, err := talker.r.ReadString('}'); err != nil || strings.Contains(line, "HTTP/") {
		t.Errorf("want the event only, got %q %v", line, err)
	}
	if err := talker.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, talker.r); err != nil {
		t.Errorf("want the end, got %v", err)
	}
	await(t, r, `rowfeed_session_closes_total{code="1000"} 1`)
	flood := rawStream(t, r.Addr, "/sse/stock", rig.User(1, clerk), "1.1")
	for err := error(nil); err == nil; {
		_, err = flood.Write(make([]byte, 4<<10))
	}
	await(t, r, `rowfeed_session_closes_total{code="4505"} 1`)
	cut := rawStream(t, r.Addr, "/sse/stock", rig.User(1, clerk), "1.1")
	if err := cut.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	cut.Close() // a reset
	await(t, r, `rowfeed_session_closes_total{code="1006"} 1`)
	await(t, r, "rowfeed_session_open 0")
}

const wide = `create table doc (id int primary key, body text, n int not null default 0); insert into doc select i, repeat('x', 20000) from generate_series(1, 20) i`

const docs = `
  docs:
    class: lossless
    rules:
      - {table: doc, event: doc_changed, resource: docs, columns: [id, body, n], audience: ["role:all"]}
`

// A client that never reads is ended and costs the others nothing; one that begins to read in time hears why.
func TestEventsSlowReader(t *testing.T) {
	t.Parallel()
	r := rig.New(t, wide, docs)
	lazy := rawStream(t, r.Addr, "/sse/docs", rig.User(1, "all"), "1.1")
	busy := r.Events(t, "/sse/docs", rig.User(2, "all"))
	const rounds = 200 // of 5 rows of 20 KB: more than sockets and queue hold, each less than a queue
	for n := range rounds {
		r.Exec(t, `update doc set n = n + 1 where id <= 5`)
		for i := range 5 {
			if got := fmt.Sprint(busy.Frame()["data"].(map[string]any)["n"]); got != fmt.Sprint(n+1) {
				t.Fatalf("round %d, event %d: the reader that reads got %s", n, i, got)
			}
		}
	}
	lazy.SetDeadline(time.Now().Add(30 * time.Second)) // the rounds may have taken as long
	b, _ := io.ReadAll(lazy.r)
	if text := string(b); len(text) < 1000 {
		t.Errorf("the slow reader got %d bytes", len(text))
	} else if end := text[strings.LastIndex(text[:len(text)-1], "\n\n")+2:]; strings.HasSuffix(text, "\n\n") &&
		end != "event: close\ndata: {\"code\":4001,\"reason\":\"slow_consumer\"}\n\n" {
		t.Errorf("ends with %.200q", end)
	}
	await(t, r, `rowfeed_session_closes_total{code="4001"} 1`)
}

// Of each user, from each address and in all, only so many may connect.
func TestEventsLimits(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels, "ROWFEED_SERVER_MAX_CONNECTIONS_PER_USER=2", "ROWFEED_SERVER_MAX_CONNECTIONS_PER_ADDRESS=3",
		"ROWFEED_SERVER_MAX_CONNECTIONS=4", "ROWFEED_SERVER_TRUSTED_PROXIES=127.0.0.0/8")
	try := func(address string, user int) (*rig.Stream, string) {
		return r.TryStream(t, http.MethodGet, "/sse/stock", http.Header{
			"X-Forwarded-For": {address}, "Authorization": {"Bearer " + rig.User(user, clerk)},
		}, "")
	}
	refused := func(address string, user, status int, says string) {
		t.Helper()
		s, text := try(address, user)
		if s.Response.StatusCode != status || !strings.Contains(text, says) || !strings.Contains(text, "connection_limit") {
			t.Errorf("want %d and %s, got %d %s", status, says, s.Response.StatusCode, text)
		}
		if s.Response.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	first, _ := try("192.0.2.1", 1)
	try("192.0.2.1", 1)
	refused("192.0.2.2", 1, 429, "this user")
	try("192.0.2.1", 2)
	refused("192.0.2.1", 3, 429, "this address")
	try("192.0.2.3", 4)
	refused("192.0.2.4", 5, 503, "this server")
	await(t, r, "rowfeed_session_open 4")
	first.Drop()
	await(t, r, "rowfeed_session_open 3")
	if s, text := try("192.0.2.1", 1); s.Response.StatusCode != 200 {
		t.Errorf("in the place of one that has gone: %s", text)
	}
}

// Under TLS a goroutine reads each stream.
func TestEventsTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	r := rig.New(t, stock, channels, "ROWFEED_SERVER_TLS_CERT_FILE="+cert, "ROWFEED_SERVER_TLS_KEY_FILE="+key)
	open := func() *rawConn {
		nc, err := tls.Dial("tcp", r.Addr, &tls.Config{RootCAs: pool})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(30 * time.Second))
		c := &rawConn{nc, bufio.NewReader(nc), t}
		c.send(fmt.Appendf(nil, "GET /sse/stock HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer %s\r\n\r\n", rig.User(1, clerk)))
		c.until("\r\n")
		return c
	}
	c, other := open(), open()
	r.Exec(t, `update stock set quantity = 1 where id = 1`)
	if line, err := c.r.ReadString('}'); err != nil || !strings.Contains(line, "data: {") {
		t.Errorf("want an event, got %q %v", line, err)
	}
	c.Close()
	await(t, r, "rowfeed_session_open 1")
	r.Exec(t, `truncate stock`)
	other.until("event: close\n")
	if _, err := io.Copy(io.Discard, other.r); err != nil {
		t.Errorf("want the end, got %v", err)
	}
}
