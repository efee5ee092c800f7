package session_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nalar.internal/rowfeed/test/rig"
)

// A client that never reads is closed and costs the others nothing; what it had subscribed to is forgotten.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	r := rig.New(t, `create table doc (id int primary key, body text, n int not null default 0); insert into doc select i, repeat('x', 20000) from generate_series(1, 20) i`, `
  docs:
    class: lossless
    rules:
      - {table: doc, event: doc_changed, resource: docs, columns: [id, body, n], audience: ["role:all"]}
`)
	lazy := rawDial(t, r.Addr, "/ws/docs", rig.User(1, "all"))
	lazy.SetDeadline(time.Now().Add(time.Minute))
	busy := r.Plain(t, "/ws/docs", rig.User(2, "all"))
	const rounds = 60 // of 20 rows of 20 KB: more than sockets and queue hold, each less than a queue
	for n := range rounds {
		r.Exec(t, `update doc set n = n + 1`)
		for range 20 {
			if got := fmt.Sprint(busy.Next()["data"].(map[string]any)["n"]); got != fmt.Sprint(n+1) {
				t.Fatalf("round %d: the reader that reads got %s", n, got)
			}
		}
	}
	for {
		op, p := lazy.nextOrEnd()
		if op == 8 {
			if !strings.Contains(p, "slow_consumer") {
				t.Errorf("want slow_consumer, got %q", p)
			}
			break
		}
		if op == 0 {
			break // it had read nothing at all: the connection just ended
		}
	}
	await(t, r, "rowfeed_session_closes_total{code=\"4001\"} 1")
}

// nextOrEnd returns the next frame, with opcode 0 at the connection's end, be it in the middle of a frame.
func (c *rawConn) nextOrEnd() (byte, string) {
	op, p, err := c.read()
	if err != nil {
		return 0, ""
	}
	return op, p
}

// await polls the bridge's metrics, as an operator does, until a line is there.
func await(t *testing.T, r *rig.Rig, line string) {
	t.Helper()
	deadline := time.Now().Add(rig.Limit)
	for {
		text := r.Metrics(t)
		if strings.Contains(text, line+"\n") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s in the metrics:\n%s", line, text)
		}
		pause(20 * time.Millisecond)
	}
}

// Ended sessions leave nothing behind, however they ended.
func TestNothingStays(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	for i := range 60 {
		c := r.Full(t, rig.User(i, clerk))
		c.Ask(`{"type":"subscribe","ref":"1","channel":"stock"}`)
		switch i % 4 {
		case 0:
			c.Close(websocket.StatusNormalClosure, "")
		case 1:
			c.CloseNow()
		case 2:
			c.Write(context.Background(), websocket.MessageBinary, []byte("x"))
			c.Closed()
		case 3:
			raw := rawDial(t, r.Addr, "/ws/stock/levels", rig.User(i, clerk))
			raw.send(frame(0x81, "half a message")[:7])
			raw.Close()
			c.CloseNow()
		}
	}
	await(t, r, "rowfeed_session_open 0")
	r.Exec(t, `update stock set quantity = 1`)
	await(t, r, `rowfeed_router_events_total{channel="stock"} 50`)
	await(t, r, `rowfeed_router_deliveries_total{channel="stock"} 0`)
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels, "ROWFEED_SERVER_MAX_CONNECTIONS_PER_USER=2", "ROWFEED_SERVER_MAX_CONNECTIONS_PER_ADDRESS=4",
		"ROWFEED_SERVER_TRUSTED_PROXIES=127.0.0.0/8", "ROWFEED_SERVER_MAX_SUBSCRIPTIONS=2")
	from := func(address string, user int) *rig.Client {
		return r.Dial(t, "/ws", http.Header{"X-Forwarded-For": {address}}, "rowfeed.v1", "bearer."+rig.User(user, clerk))
	}
	first := from("192.0.2.1", 1)
	for i := range 3 {
		first.Next()
		first = from("192.0.2.1", 10+i)
	}
	if ce := from("192.0.2.1", 99).Closed(); ce.Code != 4504 || !strings.Contains(ce.Reason, "address") {
		t.Errorf("fifth of an address: want 4504, got %v", ce)
	}
	if f := from("192.0.2.2", 1).Next(); f["type"] != "welcome" {
		t.Errorf("second of a user: want welcome, got %v", f)
	}
	if ce := from("192.0.2.3", 1).Closed(); ce.Code != 4504 || !strings.Contains(ce.Reason, "user") {
		t.Errorf("third of a user: want 4504, got %v", ce)
	}
	c := from("192.0.2.4", 7)
	c.Next()
	c.Ask(`{"type":"subscribe","ref":"1","channel":"stock"}`)
	if f := c.Ask(`{"type":"subscribe","ref":"1","channel":"stock"}`); f["code"] != "bad_frame" {
		t.Errorf("a ref twice: want bad_frame, got %v", f)
	}
	c.Ask(`{"type":"subscribe","ref":"2","channel":"stock"}`)
	if f := c.Ask(`{"type":"subscribe","ref":"3","channel":"stock"}`); f["code"] != "too_many_subscriptions" {
		t.Errorf("want too_many_subscriptions, got %v", f)
	}
	c.Ask(`{"type":"unsubscribe","subscription":"1"}`)
	if f := c.Ask(`{"type":"subscribe","ref":"3","channel":"stock"}`); f["type"] != "subscribed" {
		t.Errorf("want subscribed, got %v", f)
	}
}

// SIGTERM's way: clients hear 4000 with a time to wait, and the bridge ends.
func TestDrain(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	full, plain := r.Full(t, rig.User(1, clerk)), r.Plain(t, "/ws/stock", rig.User(1, clerk))
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.Stop() }()
	for _, c := range []*rig.Client{full, plain} {
		if ce := c.Closed(); ce.Code != 4000 || !strings.Contains(ce.Reason, "retry_ms=") {
			t.Errorf("want 4000, got %v", ce)
		}
	}
	<-stopped
	if _, err := net.Dial("tcp", r.Addr); err == nil {
		t.Error("the port is still open")
	}
}

// Under TLS the same protocol runs with a goroutine a connection.
func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	r := rig.New(t, stock, channels, "ROWFEED_SERVER_TLS_CERT_FILE="+cert, "ROWFEED_SERVER_TLS_KEY_FILE="+key)
	ctx, cancel := context.WithTimeout(context.Background(), rig.Limit)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	dial := func(protocols ...string) *websocket.Conn {
		c, _, err := websocket.Dial(ctx, "wss://"+r.Addr+"/ws", &websocket.DialOptions{Subprotocols: protocols, HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		return c
	}
	c := dial("rowfeed.v1", "bearer."+rig.User(1, clerk))
	read := func() map[string]any {
		t.Helper()
		_, b, err := c.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var f map[string]any
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := read(); f["type"] != "welcome" {
		t.Fatalf("want welcome, got %v", f)
	}
	c.Write(ctx, websocket.MessageText, []byte(`{"type":"subscribe","ref":"1","channel":"stock"}`))
	if f := read(); f["type"] != "subscribed" {
		t.Fatalf("want subscribed, got %v", f)
	}
	r.Exec(t, `update stock set quantity = quantity - 1`)
	for range 17 { // the rows of warehouse 1
		if f := read(); f["type"] != "stock_changed" {
			t.Fatalf("want stock_changed, got %v", f)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close handshake: %v", err)
	}
	_, _, err := dial("rowfeed.v1", "bearer.rubbish").Read(ctx)
	if websocket.CloseStatus(err) != 4501 {
		t.Errorf("bad token: want 4501, got %v", err)
	}
}

// certificate makes one for 127.0.0.1.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rowfeed test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8), pool
}
