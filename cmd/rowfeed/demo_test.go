package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

// demoVisitor speaks to a running demo as one of its users.
type demoVisitor struct {
	base, token string
	user        demoPerson
}

// call returns the status, and the answer decoded into into.
func (v demoVisitor) call(t *testing.T, method, path string, body, into any) int {
	t.Helper()
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, v.base+path, &content)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if v.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.token)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatalf("%s %s: %v in %q", method, path, err, data)
		}
	}
	return answer.StatusCode
}

// startDemo runs the verb until the test ends it with stop, which returns the exit code.
func startDemo(t *testing.T, args ...string) (base string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	code := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		code <- run(ctx, append([]string{"demo"}, args...), strings.NewReader(""), stdout, &stderr)
		stdout.Close()
	}()
	lines := bufio.NewScanner(out)
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	for lines.Scan() {
		if found := address.FindString(lines.Text()); found != "" {
			base = found
		}
		if strings.Contains(lines.Text(), "Ctrl-C") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return base, func() int {
				cancel()
				return <-code
			}
		}
	}
	cancel()
	t.Fatalf("demo ended with %d: %s", <-code, stderr.String())
	return "", nil
}

func TestDemo(t *testing.T) { // not parallel: it looks at what is left behind
	before := goleak.IgnoreCurrent()
	temporary := t.TempDir()
	if err := os.Chmod(filepath.Dir(temporary), 0o755); err != nil { // the database server may run as another user
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temporary)
	base, stop := startDemo(t, "--port", "0", "--rate", "30")
	var setup struct {
		Socket string
		Users  []demoPerson
	}
	stranger := demoVisitor{base: base}
	if status := stranger.call(t, "GET", "/demo/setup", nil, &setup); status != 200 || len(setup.Users) != 3 {
		t.Fatalf("setup: %d %+v", status, setup)
	}
	visitors := map[string]demoVisitor{}
	for _, u := range setup.Users {
		var minted struct{ Token string }
		if status := stranger.call(t, "GET", "/demo/token?user="+u.ID, nil, &minted); status != 200 {
			t.Fatalf("token of %s: %d", u.Role, status)
		}
		visitors[u.Role] = demoVisitor{base: base, token: minted.Token, user: u}
	}
	t.Run("page", func(t *testing.T) { demoPageTest(t, base, setup.Socket) })
	t.Run("strangers", func(t *testing.T) { demoStrangersTest(t, stranger, visitors["clerk"]) })
	t.Run("lists", func(t *testing.T) { demoListsTest(t, visitors) })
	t.Run("decision", func(t *testing.T) { demoDecisionTest(t, visitors) })
	t.Run("rights", func(t *testing.T) { demoRightsTest(t, visitors["clerk"], visitors["approver"]) })
	t.Run("migration", func(t *testing.T) { demoMigrationTest(t, visitors["approver"]) })
	t.Run("update", func(t *testing.T) { demoUpdateTest(t, visitors, setup.Socket) })
	if code := stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

func demoPageTest(t *testing.T, base, socket string) {
	answer, err := http.Get(base)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	policy := answer.Header.Get("Content-Security-Policy")
	origin := strings.TrimSuffix(socket, "/ws")
	sources := "connect-src 'self' " + origin + " http" + strings.TrimPrefix(origin, "ws") + ";"
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, sources) ||
		strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	page, err := io.ReadAll(answer.Body)
	if err != nil || !bytes.Contains(page, []byte("/app.js")) {
		t.Errorf("page: %v", err)
	}
	for _, file := range regexp.MustCompile(`(?:src|href)="(/[a-z.]+)"`).FindAllSubmatch(page, -1) {
		if status := (demoVisitor{base: base}).call(t, "GET", string(file[1]), nil, nil); status != 200 {
			t.Errorf("%s: %d", file[1], status)
		}
	}
}

func demoStrangersTest(t *testing.T, stranger, clerk demoVisitor) {
	for _, path := range []string{"/api/requests", "/api/stock", "/api/notifications", "/demo/rows", "/demo/committed",
		"/demo/rights", "/demo/visit", "/demo/unseen", "/demo/migration"} {
		if status := stranger.call(t, "GET", path, nil, nil); status != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", path, status)
		}
		forged := demoVisitor{base: stranger.base, token: clerk.token[:len(clerk.token)-2] + "xx"}
		if status := forged.call(t, "GET", path, nil, nil); status != http.StatusUnauthorized {
			t.Errorf("%s with a forged token: %d", path, status)
		}
	}
	why := map[string]string{"resource": "stock-levels", "key": "1", "txid": "1"}
	if status := stranger.call(t, "POST", "/demo/why", why, nil); status != http.StatusUnauthorized {
		t.Errorf("why without a token: %d", status)
	}
	if status := stranger.call(t, "GET", "/demo/token?user=2", nil, nil); status != http.StatusNotFound {
		t.Errorf("token for somebody else: %d", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", stranger.base+"/demo/setup", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "rebound.example"
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("foreign host: %d", answer.StatusCode)
	}
}

func demoListsTest(t *testing.T, visitors map[string]demoVisitor) {
	for role, v := range visitors {
		var requests []demoRequest
		var levels []demoLevel
		v.call(t, "GET", "/api/requests", nil, &requests)
		v.call(t, "GET", "/api/stock", nil, &levels)
		if len(requests) == 0 || len(levels) > 0 != (role == "clerk") {
			t.Errorf("%s: %d requests, %d levels", role, len(requests), len(levels))
		}
		for _, q := range requests {
			own := q.Requester.ID == v.user.ID
			switch {
			case role == "requester" && !own, own && q.Decidable, !own && q.Status == "draft",
				role == "clerk" && !own && q.Kind != "transfer":
				t.Errorf("%s sees %+v", role, q)
			}
		}
		for _, l := range levels {
			place := demoNamed{ID: strconv.FormatInt(l.Warehouse, 10), Name: l.Place}
			if !slices.Contains(v.user.Warehouses, place) {
				t.Errorf("%s sees %+v", role, l)
			}
		}
	}
}

func demoDecisionTest(t *testing.T, visitors map[string]demoVisitor) {
	var list []demoRequest
	approver, requester := visitors["approver"], visitors["requester"]
	approver.call(t, "GET", "/api/requests", nil, &list)
	i := slices.IndexFunc(list, func(q demoRequest) bool { return q.Decidable && q.Status == "pending" })
	path := fmt.Sprintf("/api/requests/%s/%d/decision", list[i].Resource, list[i].ID)
	for _, c := range []struct {
		who      demoVisitor
		decision string
		status   int
	}{
		{requester, "approved", 403}, {approver, "paid", 422}, {approver, "approved", 200}, {approver, "rejected", 422},
	} {
		if status := c.who.call(t, "POST", path, map[string]string{"decision": c.decision}, nil); status != c.status {
			t.Errorf("%s by %s: %d, want %d", c.decision, c.who.user.Role, status, c.status)
		}
	}
	if status := approver.call(t, "POST", "/api/requests/users/1/decision", map[string]string{"decision": "approved"},
		nil); status != 404 {
		t.Errorf("unknown resource: %d", status)
	}
}

func demoUpdateTest(t *testing.T, visitors map[string]demoVisitor, socket string) {
	type update struct {
		Kind  string `json:"kind"`
		ID    int64  `json:"id"`
		Value string `json:"value"`
	}
	clerk := visitors["clerk"]
	for _, bad := range []update{
		{"requests", 1, "'; drop table auth_user; --"}, {"stock", 1, "-1"}, {"stock", 1, "1e3"}, {"stock", 1, ""},
		{"stock", -1, "1"}, {"users", 1, "1"},
	} {
		if status := clerk.call(t, "POST", "/demo/update", bad, nil); status != 422 && status != 400 {
			t.Errorf("%+v: %d", bad, status)
		}
	}
	var tables map[string]demoTable
	clerk.call(t, "GET", "/demo/rows", nil, &tables)
	row := tables["stock"].Rows[0]
	if !slices.Contains(row.SeenBy, clerk.user.ID) {
		t.Fatalf("first row is seen by %v", row.SeenBy)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	live, _, err := websocket.Dial(ctx, socket, &websocket.DialOptions{
		Subprotocols: []string{"rowfeed.v1", "bearer." + clerk.token}, HTTPHeader: http.Header{"Origin": {clerk.base}}})
	if err != nil {
		t.Fatal(err)
	}
	defer live.CloseNow()
	frames := demoFrames(ctx, t, live)
	frames("welcome", "")
	subscribe := []byte(`{"type":"subscribe","ref":"1","channel":"stock"}`)
	if err := live.Write(ctx, websocket.MessageText, subscribe); err != nil {
		t.Fatal(err)
	}
	frames("subscribed", "")
	var done struct {
		Txid    string
		Changed bool
	}
	n, _ := strconv.Atoi(row.Value)
	status := clerk.call(t, "POST", "/demo/update", update{"stock", row.ID, strconv.Itoa(n + 5)}, &done)
	if status != 200 || !done.Changed {
		t.Fatalf("update: %d %+v", status, done)
	}
	frames("stock_changed", done.Txid)
	demoWhyTest(t, visitors, row.ID, done.Txid)
	var before, after struct{ Changes int64 }
	clerk.call(t, "GET", "/demo/committed", nil, &before)
	clerk.call(t, "POST", "/demo/update", update{"stock", row.ID, strconv.Itoa(n + 6)}, nil)
	clerk.call(t, "GET", "/demo/committed", nil, &after)
	if after.Changes <= before.Changes {
		t.Errorf("committed: %d, then %d", before.Changes, after.Changes)
	}
}

// demoFrames returns a function that reads until a frame of the type, and of the transaction unless that is empty.
func demoFrames(ctx context.Context, t *testing.T, live *websocket.Conn) func(kind, txid string) {
	return func(kind, txid string) {
		t.Helper()
		for {
			_, data, err := live.Read(ctx)
			if err != nil {
				t.Fatalf("wait for %s: %v", kind, err)
			}
			var frame struct{ Type, Txid string }
			if err := json.Unmarshal(data, &frame); err != nil {
				t.Fatal(err)
			}
			if frame.Type == kind && (txid == "" || frame.Txid == txid) {
				return
			}
		}
	}
}

func TestDemoPortTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	l, err := listenLoopback(taken.Addr().(*net.TCPAddr).Port)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if host, _, _ := net.SplitHostPort(l.Addr().String()); host != "127.0.0.1" {
		t.Errorf("listens on %s", l.Addr())
	}
}

func TestDemoRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--port", "70000"}, "rowfeed: --port 70000 is no port: give one from 1 to 65535, or 0 for any\n"},
		{[]string{"--rate", "-1"}, "rowfeed: --rate -1 is out of range: give 0 to 1000 changes a second\n"},
		{[]string{"--rate", "NaN"}, "rowfeed: --rate NaN is out of range: give 0 to 1000 changes a second\n"},
		{[]string{"now"}, "rowfeed: unexpected argument \"now\": see rowfeed demo --help\n"},
	} {
		var out, err bytes.Buffer
		code := run(t.Context(), append([]string{"demo"}, c.args...), strings.NewReader(""), &out, &err)
		if code != 1 || err.String() != c.want || out.Len() > 0 {
			t.Errorf("%v: %d %q %q", c.args, code, out.String(), err.String())
		}
	}
}
