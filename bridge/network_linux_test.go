package bridge_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/rig"
)

// The network between the bridge and its database swallows every packet for longer than TCP connections are kept. It
// shows within ten seconds, and what was committed meanwhile comes afterwards, once and in order.
func TestSilentNetwork(t *testing.T) {
	t.Parallel()
	silence := 12 * time.Second
	if os.Getenv("ROWFEED_SOAK") != "" {
		silence = 30 * time.Second
	}
	r := rig.Prepare(t, expenses, approvals)
	p := behind(t, r)
	r.Start(t)
	c := r.Plain(t, "/ws/approvals", rig.User(900, "approver"))
	conn := r.Conn(t)
	n := 0
	write := func() {
		t.Helper()
		n++
		if _, err := conn.Exec(context.Background(), `update expense set status = $1 where id = 1`, fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if f := c.Next(); f["data"].(map[string]any)["status"] != "1" {
		t.Fatalf("got %v", f)
	}
	p.Silence(t)
	began := time.Now()
	unready := awaitReadiness(t, r, 10*time.Second, func(said string) bool { write(); return said != "" })
	for time.Since(began) < silence {
		write()
		<-time.After(20 * time.Millisecond)
	}
	if said := readiness(t, r); said == "" {
		t.Error("ready in the silence")
	}
	p.Resume(t)
	began = time.Now()
	for want := 2; want <= n; want++ {
		if f := c.Next(); fmt.Sprint(f["data"].(map[string]any)["status"]) != fmt.Sprint(want) {
			t.Fatalf("want change %d, got %v", want, f)
		}
	}
	caught := time.Since(began)
	if n := metric(t, r, "rowfeed_source_reconnects_total"); n == 0 {
		t.Error("the connection outlived the silence")
	}
	awaitReadiness(t, r, rig.Limit, func(said string) bool { return said == "" })
	write()
	if f := c.Next(); f["data"].(map[string]any)["status"] != fmt.Sprint(n) {
		t.Fatalf("want change %d, got %v", n, f)
	}
	t.Logf("silent for %v: unready after %v, %d changes came %v after the network was back", silence, unready, n-2, caught)
}
