package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

// transcript keeps what a command writes, for whoever reads meanwhile.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// find waits until the transcript has what matches, and returns its last group.
func (t *transcript) find(tb testing.TB, expression string) string {
	tb.Helper()
	re := regexp.MustCompile(expression)
	for limit := time.After(2 * rig.Limit); ; {
		if m := re.FindStringSubmatch(t.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-limit:
			tb.Fatalf("no %s in:\n%s", expression, t)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestLogHoldsNoSecret runs serve with the log at its most talkative, through logins good and bad, rows that rules fail
// on, and a database that goes away, and looks for secrets, tokens and row data in all that it said.
func TestLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	const password, rowData = "hunter2-password", "salary-98765"
	server := pgtest.NewServer(t, nil)
	db := pgtest.NewIn(t, server)
	db.Exec(t, `create role rowfeed login password '`+password+`'`)
	db.Exec(t, `create table pay (id int primary key, owner text, amount text, n numeric); create table people (id text)`)
	db.Exec(t, `grant select on people to rowfeed; insert into people values ('1')`)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := write("secret", rig.Secret)
	file := write("rowfeed.yaml", `
database: {url: "`+strings.Replace(db.URLFor("rowfeed"), "rowfeed@", "rowfeed:"+password+"@", 1)+`", admin_url: "`+db.URL+`"}
server: {listen: "127.0.0.1:0", admin_listen: "127.0.0.1:0", allowed_origins: ["https://erp.example"], drain: 1s}
auth:
  jwt: {algorithms: [HS256], secret_file: "`+secret+`", cookie: access_token}
  user: "{user_id}"
  user_query: "select 'acme', 'x' from people where id = $1 and 1 / (id::int) > 0"
  grants: ["user:{user_id}"]
channels:
  pay:
    class: lossless
    rules:
      - {table: pay, event: paid, resource: pay, columns: [id, owner, amount, n], if: "row.n > 0.0", tenant: any, audience: ["user:{owner}"]}
log: {level: debug, format: json}
`)
	if out, errs, code := rowfeed(t, nil, "migrate", "up", "-c", file); code != 0 {
		t.Fatal(out, errs)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	said := &transcript{}
	ended := make(chan int, 1)
	go func() {
		env := &environment{stdin: strings.NewReader(""), stdout: said, stderr: said, environ: []string{"A=b"}}
		ended <- execute(ctx, env, []string{"serve", "-c", file})
	}()
	address := said.find(t, `"msg":"serving".*?"listen":"([^"]+)"`)
	admin := said.find(t, `"msg":"serving".*?"admin":"([^"]+)"`)

	good := rig.Token(map[string]any{"user_id": "1"})
	bad := []string{
		good[:len(good)-3] + "abc", rig.Token(map[string]any{"user_id": 1, "exp": time.Now().Add(-time.Hour).Unix()}),
		rig.Token(map[string]any{"user_id": "0"}), rig.Token(map[string]any{"user_id": "nobody"}), rig.Token(map[string]any{"sub": "x"}), "rubbish-token-rubbish",
	}
	for _, token := range append(bad, good) {
		for _, u := range []string{"/ws", "/ws/pay", "/ws/pay?token=" + token, "/sse/pay", "/ws/" + token, "/nowhere/" + token} {
			connect(t, "http://"+address+u, token)
		}
		connect(t, "http://"+admin+"/metrics", token)
	}
	full, _, err := websocket.Dial(ctx, "ws://"+address+"/ws", &websocket.DialOptions{Subprotocols: []string{"rowfeed.v1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer full.CloseNow()
	for _, f := range []string{`{"type":"auth","token":"` + good + `"}`, `{"type":"auth","token":"` + bad[0] + `"}`,
		`{"type":"subscribe","channel":"pay","where":{"amount":"` + rowData + `"}}`, `{"token":` + bad[5]} {
		if err := full.Write(ctx, websocket.MessageText, []byte(f)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := full.Read(ctx); err != nil {
			t.Fatal(err)
		}
	}
	db.Exec(t, `insert into pay values (1, '1', '`+rowData+`', 1), (2, '1', '`+rowData+`', null), (3, '1', '`+rowData+`', 'NaN')`)
	said.find(t, `rule not applied`)
	if err := server.Kill(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	said.find(t, `"channel":"pay".*(refused|closed|EOF|terminat)`)
	connect(t, "http://"+address+"/ws/pay", rig.Token(map[string]any{"user_id": "2"})) // the database can't be asked
	interrupt()
	if code := <-ended; code != 0 {
		t.Errorf("code %d", code)
	}
	if err := server.Restart(t.Context()); err != nil { // for what cleans up
		t.Error(err)
	}
	text := said.String()
	forbidden := []string{password, rig.Secret, rowData, base64.StdEncoding.EncodeToString([]byte(rig.Secret))}
	for _, token := range append(bad, good) {
		forbidden = append(forbidden, token)
		if parts := strings.Split(token, "."); len(parts) == 3 {
			forbidden = append(forbidden, parts[1], parts[2])
		}
	}
	for _, f := range forbidden {
		if i := strings.Index(text, f); i >= 0 {
			t.Errorf("%q is in the log: …%s…", f, text[max(0, i-200):min(len(text), i+200)])
		}
	}
	if n := strings.Count(text, "\n"); n < 15 {
		t.Errorf("only %d lines were logged: %s", n, text)
	}
}

// connect sends a token by all doors at once; the answer is the server's business.
func connect(t *testing.T, url, token string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{
		"Authorization": {"Bearer " + token}, "Cookie": {"access_token=" + token}, "Origin": {"https://erp.example"},
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		"Sec-Websocket-Protocol": {fmt.Sprintf("rowfeed.v1, bearer.%s", token)},
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	res.Body.Close()
}
