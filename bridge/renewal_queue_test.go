package bridge_test

import (
	"fmt"
	"testing"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/test/rig"
)

// documents adds so many documents of each team, of about two kilobytes each.
func documents(t *testing.T, r *rig.Rig, n int, teams ...string) {
	t.Helper()
	r.Exec(t, `insert into document (team, body) select team, repeat('x', 2000)
		from generate_series(1, $1) i, unnest($2::text[]) team order by i`, n, teams)
}

// drained reads up to the pong of a ping that was sent now. It returns how many documents of each team came before the
// resync, and after it.
func drained(t *testing.T, c *rig.Client) (before, after map[string]int) {
	t.Helper()
	before, after = map[string]int{}, map[string]int{}
	into := before
	c.Say(`{"type":"ping"}`)
	for {
		f := c.Next()
		switch f["type"] {
		case "pong":
			return before, after
		case "resync":
			into = after
		case "document_changed":
			into[fmt.Sprint(f["data"].(map[string]any)["team"])]++
		}
	}
}

// TestGrantRemovedInQueue: what waits for a reader that has stopped is not sent to it any more, but for the frame that was
// half-way.
func TestGrantRemovedInQueue(t *testing.T) {
	t.Parallel()
	r := newGrants(t)
	c := idle(t, r, rig.User(1))
	c.Ask(`{"type":"subscribe","ref":"d","channel":"documents"}`)
	documents(t, r, 200, "sales")
	awaitMetric(t, r, `rowfeed_router_deliveries_total\{channel="documents"\} 200$`)
	part(t, r, 1, 1)
	settled(t, r, 1)
	join(t, r, 1, 2)
	settled(t, r, 2)
	before, after := drained(t, c)
	if n := before["sales"]; n == 0 || n > 190 || after["sales"] > 0 {
		t.Errorf("before the resync %v, after it %v: want some documents, then none", before, after)
	}
	documents(t, r, 3, "sales", "buyers")
	wantTeams(t, c, "buyers", "buyers", "buyers")
}

// TestGrantUnchangedInQueue: who may see what they could gets all that waited, in order.
func TestGrantUnchangedInQueue(t *testing.T) {
	t.Parallel()
	r := newGrants(t)
	c := idle(t, r, rig.User(1))
	c.Ask(`{"type":"subscribe","ref":"d","channel":"documents"}`)
	documents(t, r, 200, "sales")
	awaitMetric(t, r, `rowfeed_router_deliveries_total\{channel="documents"\} 200$`)
	r.Exec(t, `update auth_user set last_login = now()`)
	awaitMetric(t, r, `rowfeed_renewal_sessions_total\{outcome="same"\} 1$`)
	for want := 1; want <= 200; want++ {
		if f := c.Next(); fmt.Sprint(f["resource_id"]) != fmt.Sprint(want) {
			t.Fatalf("want document %d, got %v", want, f["resource_id"])
		}
	}
}

// TestGrantRemovedInReplay: what is on its way of the past goes on by the new grants.
func TestGrantRemovedInReplay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options []bridge.Option
		past    string
		n       int
	}{
		"memory": {nil, "", 200},
		"rewind": {nil, `"rewind":300`, 200},
		"outbox": {[]bridge.Option{forgetful}, "", 800}, // it is still reading there when its reader stops
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testGrantRemovedInReplay(t, newGrantsOf(t, both, test.options...), test.past, test.n)
		})
	}
}

func testGrantRemovedInReplay(t *testing.T, r *rig.Rig, past string, n int) {
	first := reader(t, r, 1)
	var cursor any
	for cursor == nil {
		document(t, r, "sales")
		cursor = first.Next()["cursor"]
	}
	_ = first.CloseNow()
	awaitMetric(t, r, `rowfeed_session_open 0$`)
	documents(t, r, n, "sales", "buyers")
	var all int
	if err := r.Conn(t).QueryRow(t.Context(), `select count(*) from document`).Scan(&all); err != nil {
		t.Fatal(err)
	}
	awaitMetric(t, r, fmt.Sprintf(`rowfeed_router_events_total\{channel="documents"\} %d$`, all))
	c := idle(t, r, rig.User(1))
	if past == "" {
		past = fmt.Sprintf(`"cursor":%q`, cursor)
	}
	if f := c.Ask(`{"type":"subscribe","ref":"d","channel":"documents",%s}`, past); f["type"] != "subscribed" {
		t.Fatalf("want subscribed, got %v", f)
	}
	awaitMetric(t, r, `rowfeed_session_open 1$`)
	awaitMetric(t, r, `rowfeed_session_messages_written_total [1-9]`)
	part(t, r, 1, 1)
	settled(t, r, 1)
	document(t, r, "buyers") // the last of all
	seen := map[string]int{}
	told := false
	for {
		f := c.Next()
		if f["type"] == "resync" {
			told = true
			continue
		}
		data, _ := f["data"].(map[string]any)
		if data == nil {
			t.Fatalf("got %v", f)
		}
		if told && data["team"] == "sales" {
			t.Fatal("a document of sales after the resync")
		}
		if seen[fmt.Sprint(data["team"])]++; data["body"] == "" && data["team"] == "buyers" {
			break
		}
	}
	if !told || seen["sales"] > n*3/4 {
		t.Errorf("told %v, seen %v", told, seen)
	}
}
