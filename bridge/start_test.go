package bridge_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/test/rig"
)

// bridgeTo makes a bridge for the database at some hosts, a list with commas.
func bridgeTo(t *testing.T, hosts string) *bridge.Bridge {
	t.Helper()
	cfg := rig.Load(t, `
database: {url: "postgres://rowfeed@`+hosts+`/erp?sslmode=disable"}
server: {listen: "127.0.0.1:0", admin_listen: ""}
auth: {jwt: {algorithms: [HS256], secret: "`+rig.Secret+`"}, user: "{user_id}", grants: ["role:{roles}"]}
channels:
`+approvals)
	b, err := bridge.New(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// To be ended while the database does not answer is no error, and leaves nothing running.
func TestEndedWhileStarting(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	b := bridgeTo(t, silent.Addr().String())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

// The limits and the encoding that a DBA sets for a role or a database are not the bridge's.
func TestSessionSettings(t *testing.T) {
	t.Parallel()
	r := rig.Prepare(t, expenses, approvals)
	r.Exec(t, `alter database `+r.DB.Name+` set statement_timeout = '80ms'`)
	r.Exec(t, `alter database `+r.DB.Name+` set idle_session_timeout = '300ms'`)
	r.Exec(t, `alter database `+r.DB.Name+` set default_transaction_isolation = 'serializable'`)
	r.Exec(t, `alter role rowfeed in database `+r.DB.Name+` set default_transaction_read_only = on`)
	r.Exec(t, `alter role rowfeed in database `+r.DB.Name+` set client_encoding = 'LATIN1'`)
	r.Start(t)
	c := r.Plain(t, "/ws/approvals", rig.User(900, "approver"))
	r.Exec(t, `set statement_timeout = 0; update expense set number = 'Réf.', status = 'sent' where id = 1`)
	if f := c.Next(); f["message"] != "Réf. was sent" {
		t.Errorf("got %v", f)
	}
	r.Exec(t, `set statement_timeout = 0; insert into expense (number, owner)
		select repeat('x', 1000), 1 from generate_series(1, 60000)`)
	await(t, r, "rowfeed_source_changes_total", 60001)
	await(t, r, "rowfeed_source_sweeps_total", metric(t, r, "rowfeed_source_sweeps_total")+2) // two heartbeats
	if n := metric(t, r, "rowfeed_source_reconnects_total"); n > 0 {
		t.Errorf("%d lost connections", n)
	}
}

// A request whose body does not come is ended.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	r := rig.New(t, expenses, approvals)
	conn, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
	if err := conn.SetReadDeadline(time.Now().Add(3 * rig.Limit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("want the end of the connection, got %v", err)
	}
}

// metric returns what a channel's counter has come to.
func metric(t *testing.T, r *rig.Rig, name string) int {
	t.Helper()
	m := regexp.MustCompile(name + `\{channel="approvals"\} (\S+)`).FindStringSubmatch(r.Metrics(t))
	if m == nil {
		t.Fatalf("no %s", name)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// await waits until a channel's counter has come to n.
func await(t *testing.T, r *rig.Rig, name string, n int) {
	t.Helper()
	for limit := time.After(2 * rig.Limit); metric(t, r, name) < n; {
		select {
		case <-limit:
			t.Fatalf("%s does not come to %d", name, n)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
