package bridge_test

import (
	"testing"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/test/rig"
)

// placed returns a cursor of the documents, of a connection that has gone.
func placed(t *testing.T, r *rig.Rig, user int) (cursor any) {
	t.Helper()
	c := reader(t, r, user)
	for cursor == nil {
		document(t, r, "sales")
		cursor = c.Next()["cursor"]
	}
	_ = c.CloseNow()
	awaitMetric(t, r, `rowfeed_session_open 0$`)
	return cursor
}

// resumed goes on from a cursor.
func resumed(t *testing.T, r *rig.Rig, user int, cursor any) *rig.Client {
	t.Helper()
	c := r.Full(t, rig.User(user))
	if f := c.Ask(`{"type":"subscribe","ref":"d","channel":"documents","cursor":%q}`, cursor); f["type"] != "subscribed" || f["resumed"] != true {
		t.Fatalf("want subscribed, and resumed, got %v", f)
	}
	return c
}

// wantOld reads events up to the third document of buyers. Those of sales are among them where they may be seen; which is
// the first depends on the cursor.
func wantOld(t *testing.T, c *rig.Client, sales bool) {
	t.Helper()
	for buyers := 0; buyers < 3; {
		f := c.Next()
		data, _ := f["data"].(map[string]any)
		if data == nil || data["team"] == "sales" && !sales {
			t.Fatalf("got %v", f)
		}
		if data["team"] == "buyers" {
			buyers++
		}
	}
}

// TestGrantsWhileAway: who comes back has the grants of now, for the past too, and hears that they are others: rows that
// are theirs now may be older than all that follows the cursor.
func TestGrantsWhileAway(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]bridge.Option{"memory": nil, "outbox": {forgetful}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newGrantsOf(t, "", options...)
			cursor := placed(t, r, 1)
			join(t, r, 1, 2)
			part(t, r, 1, 1)
			heard(t, r)
			documents(t, r, 3, "sales", "buyers")
			c := resumed(t, r, 1, cursor)
			wantResync(t, c)
			wantOld(t, c, false)
			if ce := r.Plain(t, "/ws/documents?cursor="+cursor.(string), rig.User(1)).Closed(); ce.Code != 4005 {
				t.Errorf("the plain endpoint closed with %v, want 4005", ce)
			}
		})
	}
}

// TestOthersGrantsWhileAway: who comes back without having been concerned goes on as if nothing had been.
func TestOthersGrantsWhileAway(t *testing.T) {
	t.Parallel()
	r := newGrants(t)
	cursor := placed(t, r, 1)
	join(t, r, 2, 2)
	heard(t, r)
	document(t, r, "sales")
	wantTeams(t, resumed(t, r, 1, cursor), "sales")
}

// TestGrantsWhileBridgeAway: the same when nobody was there to hear of the change, whatever else is remembered.
func TestGrantsWhileBridgeAway(t *testing.T) {
	t.Parallel()
	r := newGrantsOf(t, both, forgetful)
	cursor := placed(t, r, 1)
	r.Stop()
	documents(t, r, 3, "sales", "buyers")
	r.Start(t)
	c := resumed(t, r, 1, cursor)
	wantOld(t, c, true)
	_ = c.CloseNow()
	r.Stop()
	part(t, r, 1, 1)
	r.Start(t)
	c = resumed(t, r, 1, cursor)
	wantResync(t, c)
	wantOld(t, c, false)
}
