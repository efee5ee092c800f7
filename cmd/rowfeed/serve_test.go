package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/pgtest"
)

// TestServeRefusals checks that serve ends at once, with a line for each thing that is wrong.
func TestServeRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String() // nobody listens there any more
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	secret := write("secret", testSecret+"\n")
	good := `
database: {url: "postgres://rowfeed:hunter2@` + nobody + `/nalar"}
server: {listen: "127.0.0.1:0", admin_listen: ""}
auth: {jwt: {algorithms: [HS256], secret_file: "` + secret + `"}, grants: ["user:{sub}"]}
channels:
  orders:
    class: lossless
    rules:
      - {table: orders, event: order_changed, resource: orders, columns: [id, owner], audience: ["user:{owner}"]}
`
	example, err := filepath.Abs("../../config/testdata/good/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file    string
		environ []string
		lines   int
		want    string
	}{
		"syntax":   {write("syntax.yaml", "server: {"), nil, 1, "configuration (line 1): is not YAML"},
		"misspelt": {write("misspelt.yaml", good+"leses: []\n"), nil, 1, "did you mean leases?"},
		"several": {write("several.yaml", good), []string{"ROWFEED_LOG_LEVEL=x", "ROWFEED_SERVER_DRAIN=0s"}, 2,
			"log.level"},
		"unavailable": {example, []string{"ROWFEED_AUTH_JWT_SECRET_FILE=" + secret}, 5,
			"leases are not available in this version"},
		"condition": {write("condition.yaml", good), []string{"ROWFEED_CHANNELS_ORDERS_RULES_0_IF=row.id >"}, 1,
			"channels.orders.rules[0].if (ROWFEED_CHANNELS_ORDERS_RULES_0_IF): "},
		"database": {write("database.yaml", good), nil, 1, nobody},
	} {
		stdout, stderr, code := rowfeed(t, test.environ, "serve", "-c", test.file)
		var told []string // without the log, which is on stderr too
		for line := range strings.Lines(stderr) {
			if !strings.HasPrefix(line, "{") {
				told = append(told, line)
			}
		}
		text := strings.Join(told, "")
		if code != 1 || stdout != "" || len(told) != test.lines || !strings.Contains(text, test.want) {
			t.Errorf("%s: code %d, stdout %q, stderr\n%s", name, code, stdout, stderr)
		}
		if strings.Contains(stderr, "hunter2") || strings.Contains(stderr, testSecret) {
			t.Errorf("%s: a secret is told: %s", name, stderr)
		}
	}
}

// TestMigrateServeTail runs the commands one after the other on a real database: what one user's rows become is shown
// to that user and nobody else.
func TestMigrateServeTail(t *testing.T) {
	t.Parallel()
	db := pgtest.NewIn(t, pgtest.NewServer(t, nil))
	db.Exec(t, `create role rowfeed login`)
	db.Exec(t, `create table orders (id bigint primary key, owner text, status text)`)
	db.Exec(t, `insert into orders values (1, 'bob', '0'), (2, 'alice', '0'), (3, 'bob', '0'), (4, 'alice', '0')`)
	file := filepath.Join(t.TempDir(), "rowfeed.yaml")
	text := `
database: {url: "` + db.URLFor("rowfeed") + `", admin_url: "` + db.URL + `"}
server: {listen: "127.0.0.1:0", admin_listen: "", drain: 1s}
auth: {jwt: {algorithms: [HS256], secret: "` + testSecret + `"}, grants: ["user:{sub}"]}
channels:
  orders:
    class: lossless
    rules:
      - {table: orders, event: order_changed, resource: orders, columns: [id, owner, status],
         audience: ["user:{owner}"]}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		verb string
		code int
	}{{"plan", 2}, {"up", 0}, {"plan", 0}, {"status", 0}} {
		if out, errs, code := rowfeed(t, nil, "migrate", step.verb, "-c", file); code != step.code {
			t.Fatalf("migrate %s: code %d, want %d\n%s%s", step.verb, code, step.code, out, errs)
		}
	}
	bridge := begin(t, "serve", "-c", file)
	var address string
	for line := range bridge.stderr {
		var entry struct {
			Msg    string `json:"msg"`
			Listen string `json:"listen"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
			address = entry.Listen
			break
		}
	}
	if address == "" {
		t.Fatal("the bridge did not say where it serves")
	}
	alice := begin(t, "tail", "orders", "-c", file, "--url", "ws://"+address, "--user", "alice")
	changes := time.NewTicker(20 * time.Millisecond) // the first may come before alice listens
	defer changes.Stop()
	for seen := 0; seen < 6; {
		select {
		case line := <-alice.stdout:
			if seen++; !aliceLine.MatchString(line) {
				t.Errorf("line %q", line)
			}
		case line := <-alice.stderr:
			t.Fatalf("alice is told %q", line)
		case <-changes.C:
			db.Exec(t, `update orders set status = (status::int + 1)::text`)
		}
	}
	alice.end(t)
	bridge.end(t)
}

var aliceLine = regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} update orders/[24]  order_changed  status: \d+ → \d+\n$`)

// command is a command line that runs until it is interrupted.
type command struct {
	stdout, stderr chan string // lines
	interrupt      func()
	code           chan int
}

// begin starts a command line.
func begin(t *testing.T, args ...string) *command {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	t.Cleanup(interrupt)
	c := &command{stdout: make(chan string, 1000), stderr: make(chan string, 1000), interrupt: interrupt,
		code: make(chan int, 1)}
	read := func(lines chan string) *io.PipeWriter {
		r, w := io.Pipe()
		go func() {
			defer close(lines)
			buffered := bufio.NewReader(r)
			for {
				line, err := buffered.ReadString('\n')
				if err != nil {
					return
				}
				lines <- line
			}
		}()
		return w
	}
	stdout, stderr := read(c.stdout), read(c.stderr)
	go func() {
		env := &environment{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, environ: []string{"A=b"}}
		code := execute(ctx, env, args)
		stdout.Close()
		stderr.Close()
		c.code <- code
	}()
	return c
}

// end interrupts the command and wants it to end well.
func (c *command) end(t *testing.T) {
	t.Helper()
	c.interrupt()
	if code := <-c.code; code != 0 {
		t.Errorf("code %d", code)
		for line := range c.stderr {
			t.Log(line)
		}
	}
}
