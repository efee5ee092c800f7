package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

// Frames as PROTOCOL has them.
const (
	approved = `{"type":"approval_status_changed","id":"7f3a-1-0","channel":"approvals","resource":"expense-requests",` +
		`"resource_id":17,"op":"update","at":"2026-11-23T08:15:02.114Z","txid":"90412",` +
		`"data":{"id":17,"number":"EXP-0017","status":"approved"},"old":{"status":"pending"},` +
		`"message":"Your expense request EXP-0017 was approved","link":"/finance/expenses/17","cursor":"7f3a:1"}`
	moved = `{"type":"stock_changed","id":"7f3a-2-0","channel":"stock","resource":"stock-levels","resource_id":"a,b",` +
		`"op":"update","at":"2026-11-23T08:15:03Z","txid":"90413","data":{"sku_id":5,"new_quantity":3.50,` +
		`"note":"x\u001b[2Jy"},"old":{"new_quantity":4,"note":null},"cursor":"7f3a:2"}`
	gone = `{"type":"stock_changed","id":"7f3a-3-0","channel":"stock","resource":"stock-levels","resource_id":[1,"x"],` +
		`"op":"leave","at":"2026-11-23T08:15:04Z","txid":"90414"}`
	added = `{"type":"stock_changed","id":"7f3a-4-0","channel":"stock","resource":"stock-levels","resource_id":9,` +
		`"op":"insert","at":"2026-11-23T08:15:05Z","txid":"90415","data":{"sku_id":6,"new_quantity":100},"cursor":"7f3a:4"}`
)

// script is what the server does with one connection: the frames that it sends, then the close code.
type script struct {
	frames []string
	code   websocket.StatusCode
	reason string
}

// serve runs a WebSocket server that plays one script for each connection and notes the requests.
func serve(t *testing.T, scripts ...script) (address string, requests <-chan *http.Request) {
	t.Helper()
	seen := make(chan *http.Request, len(scripts)+1)
	turn := make(chan script, len(scripts))
	for _, s := range scripts {
		turn <- s
	}
	close(turn)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Clone(context.WithoutCancel(r.Context()))
		s, ok := <-turn
		if !ok {
			http.Error(w, "no such channel", http.StatusNotFound)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		for _, frame := range s.frames {
			if err := conn.Write(r.Context(), websocket.MessageText, []byte(frame)); err != nil {
				return
			}
		}
		switch s.code {
		case 0: // cut
		case websocket.StatusNormalClosure:
			_, _, err := conn.Read(r.Context()) // until the client leaves
			if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
				t.Errorf("client left with %v", err)
			}
		default:
			_ = conn.Close(s.code, s.reason)
		}
	}))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http"), seen
}

// newTail makes a tail that does not wait between connections.
func newTail(t *testing.T, address, path string, out, notes io.Writer) *tail {
	t.Helper()
	u, err := (&environment{}).endpoint(address, path)
	if err != nil {
		t.Fatal(err)
	}
	return &tail{
		address: u, printer: &lines{out: out, zone: time.UTC}, notes: notes,
		token: func() (string, error) { return "the.token", nil },
		wait:  func(ctx context.Context, _ int) error { return ctx.Err() },
	}
}

func TestTailResumesAndStops(t *testing.T) {
	t.Parallel()
	address, requests := serve(t,
		script{frames: []string{approved, moved}, code: 4001, reason: "slow_consumer"},
		script{frames: []string{moved, gone}},
		script{frames: []string{added}, code: 4005, reason: "resync"},
		script{code: 4000, reason: "draining"},
		script{code: websocket.StatusGoingAway},
		script{code: 4501, reason: "token expired"},
	)
	var out, notes bytes.Buffer
	err := newTail(t, address, "stock/stock-levels/a b", &out, &notes).run(t.Context())
	if err == nil || err.Error() != "the token is refused: give a valid one with --token, or make one with --user "+
		"(4501 token expired)" {
		t.Errorf("err = %v", err)
	}
	want := "" +
		"08:15:02.114 update expense-requests/17  approval_status_changed  Your expense request EXP-0017 was approved\n" +
		"08:15:03.000 update stock-levels/a,b     stock_changed            " +
		"new_quantity: 4 → 3.50, note: null → x\\x1b[2Jy\n" +
		"08:15:04.000 leave  stock-levels/[1,\"x\"]  stock_changed            no longer visible\n" +
		"08:15:05.000 insert stock-levels/9        stock_changed            sku_id=6 new_quantity=100\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, cursor := range []string{"", "7f3a:2", "7f3a:2", "", "", ""} {
		r := <-requests
		if got := r.URL.Query().Get("cursor"); got != cursor || r.URL.Path != "/ws/stock/stock-levels/a b" ||
			r.Header.Get("Authorization") != "Bearer the.token" || strings.Contains(r.URL.RawQuery, "token") {
			t.Errorf("request %s with cursor %q, want %q", r.URL, got, cursor)
		}
	}
	if n := strings.Count(notes.String(), ": reconnecting\n"); n != 5 {
		t.Errorf("notes:\n%s", notes.String())
	}
	if n := strings.Count(notes.String(), ": what happens until it is back is not shown: "); n != 3 { // without a cursor
		t.Errorf("notes:\n%s", notes.String())
	}
}

func TestRecent(t *testing.T) {
	t.Parallel()
	var r recent
	for i := range 2*recentLimit + 7 {
		if id := strconv.Itoa(i); r.add(id) || !r.add(id) {
			t.Fatalf("%s: not remembered", id)
		}
	}
	if len(r.ids) != recentLimit || !r.add(strconv.Itoa(recentLimit+7)) || r.add(strconv.Itoa(recentLimit+6)) {
		t.Errorf("%d ids, not the last ones", len(r.ids))
	}
	for range 2 {
		if r.add("") {
			t.Error("a frame without an id counts as an event")
		}
	}
}

func TestTailFinalCodes(t *testing.T) {
	t.Parallel()
	for _, code := range []websocket.StatusCode{4500, 4501, 4502, 4503, 4504, 4505, 1003, 1009} {
		address, _ := serve(t, script{code: code})
		var out, notes bytes.Buffer
		err := newTail(t, address, "stock", &out, &notes).run(t.Context())
		var final *finalError
		if !errors.As(err, &final) || notes.Len() > 0 {
			t.Errorf("%d: err = %v, notes %s", code, err, notes.String())
		}
	}
}

func TestTailRefused(t *testing.T) {
	t.Parallel()
	address, _ := serve(t)
	closed := httptest.NewServer(nil)
	closed.Close()
	for base, want := range map[string]string{
		address:    "answers 404 Not Found (no such channel): is stock in the configuration, and --url right?",
		closed.URL: "connection refused: is `rowfeed serve` running there? Else give --url",
	} {
		stdout, stderr, code := rowfeed(t, []string{"ROWFEED_TOKEN=x.y.z"}, "tail", "stock", "--url", base)
		if code != 1 || stdout != "" || !strings.HasSuffix(stderr, want+"\n") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: code %d, stderr %q", base, code, stderr)
		}
	}
}

// TestTailCommand runs the whole command: a minted token, frames as they are, and Ctrl-C.
func TestTailCommand(t *testing.T) { // not parallel: it counts goroutines
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // after the server's own clean-up
	address, requests := serve(t, script{frames: []string{approved, "{\n\"cursor\":\"c\"}"}, code: 1000})
	file := configFile(t, `  jwt: {algorithms: [HS256], secret: "`+testSecret+`"}`)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	reader, writer := io.Pipe()
	done := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		env := &environment{stdout: writer, stderr: &stderr, environ: []string{"A=b"}}
		done <- execute(ctx, env, []string{"tail", "-c", file, "approvals", "--user", "42", "--json", "--url", address})
		writer.Close()
	}()
	want := approved + "\n" + `{"cursor":"c"}` + "\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(reader, got); err != nil || string(got) != want {
		t.Fatalf("got %s, %v", got, err)
	}
	interrupt()
	if code := <-done; code != 0 || stderr.Len() > 0 {
		t.Errorf("code %d, stderr %q", code, stderr.String())
	}
	bearer := strings.TrimPrefix((<-requests).Header.Get("Authorization"), "Bearer ")
	token, err := jwt.Parse(bearer, func(*jwt.Token) (any, error) { return []byte(testSecret), nil })
	if err != nil {
		t.Fatal(err)
	}
	if user, err := token.Claims.GetSubject(); user != "42" {
		t.Errorf("sub = %q, %v", user, err)
	}
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	secure := configFile(t, "")
	for _, test := range []struct{ base, path, listen, want string }{
		{"", "stock", ":8080", "ws://localhost:8080/ws/stock"},
		{"", "stock", "[::]:81", "ws://localhost:81/ws/stock"},
		{"", "stock", "10.0.0.7:81", "ws://10.0.0.7:81/ws/stock"},
		{"https://events.example/live/", "a/b/c/d?e", "", "wss://events.example/live/ws/a/b/c%2Fd%3Fe"},
		{"ws://h:1", "/a/b/", "", "ws://h:1/ws/a/b"},
		{"ws://h:1", "a//b", "", ""},
		{"ftp://h:1", "a", "", ""},
		{"localhost:8080", "a", "", ""},
	} {
		env := &environment{configPath: secure, environ: []string{"ROWFEED_SERVER_LISTEN=" + test.listen}}
		u, err := env.endpoint(test.base, test.path)
		if got := ""; err == nil {
			if got = u.String(); got != test.want {
				t.Errorf("%+v: got %s", test, got)
			}
		} else if test.want != "" || !strings.Contains(err.Error(), ": write ") {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestColour(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := &lines{out: &out, colour: true, zone: time.UTC}
	if err := l.print([]byte(approved)); err != nil {
		t.Fatal(err)
	}
	const want = "\x1b[2m08:15:02.114\x1b[0m \x1b[33mupdate\x1b[0m expense-requests/17  "
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("got %q", out.String())
	}
	if colourful(&environment{stdout: &out}) {
		t.Error("a buffer is no terminal")
	}
}

func TestFullJitter(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fullJitter(ctx, 60); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}
