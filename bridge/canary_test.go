package bridge_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/rig"
)

// What stands between keeps the connections and eats the notifications, as a pooler in transaction mode does: the node is
// not ready and says why, changes are found by heartbeats, and when notifications come through again it is ready.
func TestDeafListener(t *testing.T) {
	t.Parallel()
	r := rig.Prepare(t, expenses, approvals)
	p := behind(t, r)
	r.Start(t)
	c := r.Plain(t, "/ws/approvals", rig.User(900, "approver"))
	change := func(status string) {
		t.Helper()
		r.Exec(t, `update expense set status = $1 where id = 1`, status)
		if f := c.Next(); f["data"].(map[string]any)["status"] != status {
			t.Fatalf("want %s, got %v", status, f)
		}
	}
	change("a")
	awaitReadiness(t, r, rig.Limit, func(said string) bool { return said == "" })
	p.Mute.Store(true)
	found := awaitReadiness(t, r, rig.Limit, func(said string) bool { return strings.Contains(said, "pooler") })
	change("b")
	await(t, r, "rowfeed_source_canaries_lost_total", 2) // the listener was restarted, and is no better
	if said := readiness(t, r); !strings.Contains(said, "channel approvals: LISTEN is in force, but no notification arrives") {
		t.Errorf("readiness %q", said)
	}
	if n := metric(t, r, "rowfeed_source_listening"); n != 0 {
		t.Error("listening, says the metric")
	}
	// A restarted listener has the outbox swept, and may find a change so.
	for n := 0; metric(t, r, "rowfeed_source_missed_notifications_total") == 0; n++ {
		if n == 30 {
			t.Fatal("no missed notification was counted")
		}
		change(fmt.Sprint(n))
	}
	p.Mute.Store(false)
	back := awaitReadiness(t, r, 2*rig.Limit, func(said string) bool { return said == "" })
	change("c")
	if n := metric(t, r, "rowfeed_source_reconnects_total"); n != 0 {
		t.Errorf("the sweep was reconnected %d times", n)
	}
	t.Logf("not ready %v after notifications stopped, ready %v after they came through again", found, back)
}

// A listener's connection brings nothing any more, and another would: the listener takes another.
func TestListenerReplaced(t *testing.T) {
	t.Parallel()
	r := rig.Prepare(t, expenses, approvals)
	p := behind(t, r)
	r.Start(t)
	c := r.Plain(t, "/ws/approvals", rig.User(900, "approver"))
	awaitReadiness(t, r, rig.Limit, func(said string) bool { return said == "" })
	p.MuteLinks()
	await(t, r, "rowfeed_source_canaries_lost_total", 1)
	awaitReadiness(t, r, rig.Limit, func(said string) bool { return said == "" })
	r.Exec(t, `update expense set status = 'a' where id = 1`)
	if f := c.Next(); f["data"].(map[string]any)["status"] != "a" {
		t.Fatalf("got %v", f)
	}
	if n := metric(t, r, "rowfeed_source_canaries_lost_total"); n != 1 {
		t.Errorf("%d canaries were lost", n)
	}
}

// Any login may notify. Ten thousand forged notifications cost a bounded number of sweeps, and a change that is
// committed among them is not late. What looks like a canary costs none.
func TestForgedNotifications(t *testing.T) {
	t.Parallel()
	r := rig.New(t, expenses, approvals)
	c := r.Plain(t, "/ws/approvals", rig.User(900, "approver"))
	forger, erp := r.Conn(t), r.Conn(t)
	flood := func(payload func(xid int) string) (sweeps int, took, late time.Duration) {
		t.Helper()
		const forged, changes = 10_000, 20
		before, began := metric(t, r, "rowfeed_source_sweeps_total"), time.Now()
		for n := range forged {
			var xid int
			if err := forger.QueryRow(context.Background(), `select pg_snapshot_xmax(pg_current_snapshot())::text::bigint
				from pg_notify('rowfeed:approvals', $1)`, payload(n)).Scan(&xid); err != nil {
				t.Fatal(err)
			}
			if n%(forged/changes) == 0 {
				status := fmt.Sprint(n)
				at := time.Now()
				if _, err := erp.Exec(context.Background(), `update expense set status = $1 where id = 1`, status); err != nil {
					t.Fatal(err)
				}
				if f := c.Next(); f["data"].(map[string]any)["status"] != status {
					t.Fatalf("want %s, got %v", status, f)
				}
				late = max(late, time.Since(at))
			}
		}
		return metric(t, r, "rowfeed_source_sweeps_total") - before, time.Since(began), late
	}
	var ahead int
	if err := erp.QueryRow(context.Background(), `select pg_current_xact_id()::text::bigint`).Scan(&ahead); err != nil {
		t.Fatal(err)
	}
	for what, payload := range map[string]func(int) string{
		"random":    func(int) string { return fmt.Sprint(rand.Uint64(), "!") },
		"plausible": func(n int) string { return fmt.Sprint(ahead + n) },
		"future":    func(n int) string { return fmt.Sprint(uint64(1)<<60 + uint64(n)) },
		"canaries":  func(n int) string { return fmt.Sprintf("canary:%d", n) },
	} {
		sweeps, took, late := flood(payload)
		// A sweep each 10 ms once it is seen that nothing comes of them, and some for each change.
		bound := int(took/(10*time.Millisecond)) + 25*20 + 100
		if what == "canaries" {
			bound = int(took/time.Second) + 3*20 + 10
		}
		if sweeps > bound || late > 3*time.Second {
			t.Errorf("%s: %d sweeps in %v, at most %d were to be; a change came %v after its commit", what, sweeps, took, bound, late)
		}
		t.Logf("%s: 10,000 in %v: %d sweeps, a change was at most %v late", what, took, sweeps, late)
	}
}
