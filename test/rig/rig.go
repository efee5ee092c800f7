// Package rig puts a whole bridge on a real database for tests and benchmarks: tables, triggers, the bridge's own role,
// a free port, tokens and WebSocket clients.
package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/triggers"
)

// Secret signs the rig's tokens.
const Secret = "a secret of tests, long enough for HS256"

// base is what every rig's configuration has; {…} are filled in.
const base = `
database: {url: "{url}"}
server: {listen: "{listen}", admin_listen: "{admin}", allowed_origins: ["https://erp.example"], drain: 2s}
auth:
  jwt: {algorithms: [HS256], secret: "` + Secret + `", cookie: access_token}
  user: "{user_id}"
  grants: ["user:{user_id}", "role:{roles}"]
log: {level: warn, format: console}
`

// Rig is a running bridge.
type Rig struct {
	DB      *pgtest.DB
	Config  *config.Config
	Addr    string // host:port of the bridge
	Admin   string // of its operator's listener
	Bridge  *bridge.Bridge
	Options []bridge.Option // of bridges that Start makes

	stop func()
	done chan error
}

// Role is the role that rigs' bridges run as.
const Role = "rowfeed"

// New makes a database with the tables that sql creates, installs what the channels (YAML, a mapping at top level) want,
// and runs a bridge on it until the test ends. More keys override those of base, one `key: value` in YAML each.
func New(t testing.TB, sql, channels string, more ...string) *Rig {
	t.Helper()
	r := Prepare(t, sql, channels, more...)
	r.Start(t)
	return r
}

// Prepare does all that New does but run the bridge.
func Prepare(t testing.TB, sql, channels string, more ...string) *Rig {
	t.Helper()
	return PrepareOn(t, pgtest.New(t), sql, channels, more...)
}

// PrepareOn is Prepare on a given database, as one in a server of the test's own.
func PrepareOn(t testing.TB, db *pgtest.DB, sql, channels string, more ...string) *Rig {
	t.Helper()
	r := &Rig{DB: db}
	r.DB.Exec(t, sql)
	MakeRole(t, r.DB)
	r.Addr, r.Admin = FreeAddress(t), FreeAddress(t)
	text := strings.NewReplacer("{url}", r.DB.URLFor(Role), "{listen}", r.Addr, "{admin}", r.Admin).Replace(base)
	r.Config = Load(t, text+"channels:\n"+channels+"\n", more...)
	r.Migrate(t)
	return r
}

// MakeRole creates the bridge's role, once in the server.
func MakeRole(t testing.TB, db *pgtest.DB) {
	t.Helper()
	db.Exec(t, `do $$ begin create role `+Role+` login; exception when duplicate_object or unique_violation then null; end $$`)
}

// Load reads a configuration text, with further keys as environment variables (NAME=value).
func Load(t testing.TB, text string, environ ...string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rowfeed.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Path: path, Environ: append([]string{"PATH="}, environ...)})
	if err != nil {
		t.Fatalf("load configuration:\n%v", err)
	}
	if problems := cfg.Validate(); len(problems) > 0 {
		t.Fatalf("validate configuration:\n%v", problems)
	}
	return cfg
}

// Problems returns what is wrong with a configuration text.
func Problems(t testing.TB, text string, environ ...string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rowfeed.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Path: path, Environ: append([]string{"PATH="}, environ...)})
	var found config.Problems
	if err != nil && !errors.As(err, &found) {
		t.Fatal(err)
	}
	if cfg != nil {
		found = append(found, cfg.Validate()...)
	}
	list := make([]string, len(found))
	for i, p := range found {
		list[i] = p.String()
	}
	return list
}

// Migrate installs what the configuration wants.
func (r *Rig) Migrate(t testing.TB) {
	t.Helper()
	wants, problems := rule.Wants(r.Config)
	if len(problems) > 0 {
		t.Fatalf("compile rules:\n%v", r.Config.Locate(problems))
	}
	conn := r.DB.Connect(t)
	defer conn.Close(context.Background())
	target := triggers.Target{Schema: r.Config.Database.Schema, Retention: r.Config.Database.Retention, RuntimeRole: Role, Wants: wants}
	if err := triggers.Up(context.Background(), conn, target, func(string) {}); err != nil {
		t.Fatalf("migrate up: %v", err)
	}
}

// Start runs the bridge and waits until it serves.
func (r *Rig) Start(t testing.TB) {
	t.Helper()
	var log *zap.Logger
	if tt, ok := t.(*testing.T); ok {
		log = zaptest.NewLogger(tt, zaptest.Level(zap.WarnLevel))
	} else {
		log = zap.NewNop()
	}
	b, err := bridge.New(r.Config, log, r.Options...)
	if err != nil {
		t.Fatalf("make bridge: %v", err)
	}
	r.Bridge = b
	ctx, cancel := context.WithCancel(context.Background())
	r.done = make(chan error, 1)
	go func() { r.done <- b.Run(ctx) }()
	stopped := false
	r.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-r.done; err != nil {
				t.Errorf("run bridge: %v", err)
			}
		}
	}
	t.Cleanup(r.stop)
	select {
	case <-b.Ready():
	case err := <-r.done:
		r.done <- err
		t.Fatalf("run bridge: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("bridge not ready after 30 s")
	}
}

// Stop ends the bridge as SIGTERM would.
func (r *Rig) Stop() { r.stop() }

// given are the addresses that FreeAddress has returned: the system may have the same one free again.
var given sync.Map

// FreeAddress returns a loopback address that nobody listens on, and no other test of this process was given.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		_ = l.Close()
		if _, taken := given.LoadOrStore(address, true); !taken {
			return address
		}
	}
}

// Token signs the claims, with an hour to live unless they have an exp.
func Token(claims map[string]any) string { return Sign(claims, Secret) }

// Sign does so with another issuer's secret.
func Sign(claims map[string]any, secret string) string {
	c := jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range claims {
		c[k] = v
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret))
	if err != nil {
		panic(err)
	}
	return text
}

// User is the token of a user with roles.
func User(id int, roles ...string) string {
	return Token(map[string]any{"user_id": id, "roles": roles})
}

// Client is a WebSocket client that reads frames in order.
type Client struct {
	*websocket.Conn
	t testing.TB
}

// Wrap makes a client of a connection that was dialled otherwise.
func Wrap(t testing.TB, conn *websocket.Conn) *Client { return &Client{conn, t} }

// Limit bounds what a test waits for, on a machine that has much else to do: no claim of how soon it comes.
const Limit = 30 * time.Second

// Plain connects to a plain endpoint, path as /ws/stock/stock-levels.
func (r *Rig) Plain(t testing.TB, path, token string) *Client {
	t.Helper()
	return r.Dial(t, path, http.Header{"Authorization": {"Bearer " + token}})
}

// Full connects to /ws with the full protocol and waits for the welcome.
func (r *Rig) Full(t testing.TB, token string) *Client {
	t.Helper()
	c := r.Dial(t, "/ws", nil, "rowfeed.v1", "bearer."+token)
	if f := c.Next(); f["type"] != "welcome" {
		t.Fatalf("want welcome, got %v", f)
	}
	return c
}

// Dial connects.
func (r *Rig) Dial(t testing.TB, path string, header http.Header, protocols ...string) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, "ws://"+r.Addr+path, &websocket.DialOptions{HTTPHeader: header, Subprotocols: protocols})
	if err != nil {
		status := ""
		if res != nil {
			status = res.Status
		}
		t.Fatalf("dial %s: %v %s", path, err, status)
	}
	conn.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &Client{conn, t}
}

// Next returns the next frame that is no heartbeat, numbers as json.Number.
func (c *Client) Next() map[string]any {
	c.t.Helper()
	for {
		var v map[string]any
		dec := json.NewDecoder(strings.NewReader(string(c.Raw())))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil {
			c.t.Fatalf("decode frame: %v", err)
		}
		if v["type"] != "heartbeat" {
			return v
		}
	}
}

// Raw returns the next frame's text.
func (c *Client) Raw() []byte {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	_, b, err := c.Read(ctx)
	if err != nil {
		c.t.Fatalf("read frame: %v", err)
	}
	return b
}

// Say sends a text frame.
func (c *Client) Say(text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("send frame: %v", err)
	}
}

// Ask sends a frame and returns the next one.
func (c *Client) Ask(format string, args ...any) map[string]any {
	c.t.Helper()
	c.Say(fmt.Sprintf(format, args...))
	return c.Next()
}

// Closed reads until the connection is closed and returns the close error.
func (c *Client) Closed() websocket.CloseError {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	for {
		_, _, err := c.Read(ctx)
		if err == nil {
			continue
		}
		var ce websocket.CloseError
		if !errors.As(err, &ce) {
			c.t.Fatalf("want a close frame, got %v", err)
		}
		return ce
	}
}

// Exec runs SQL as the superuser of the rig's database.
func (r *Rig) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	r.DB.Exec(t, sql, args...)
}

// Conn opens a connection as the superuser.
func (r *Rig) Conn(t testing.TB) *pgx.Conn { return r.DB.Connect(t) }

// Metrics returns what Prometheus would scrape.
func (r *Rig) Metrics(t testing.TB) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+r.Admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"user_id": 0, "rowfeed_operator": true, "iss": r.Config.Auth.JWT.Issuer}
	req.Header.Set("Authorization", "Bearer "+Token(claims))
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("scrape metrics: %s %v", res.Status, err)
	}
	return string(b)
}
