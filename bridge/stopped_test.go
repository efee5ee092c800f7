package bridge_test

import (
	"strings"
	"testing"

	"nalar.internal/rowfeed/test/rig"
)

// No bridge has run for so long that captures stopped. When one comes back they go on, it says so, and who comes back
// with a cursor of before is told to fetch afresh.
func TestBridgeBackAfterCapturesStopped(t *testing.T) {
	t.Parallel()
	r := rig.New(t, resumeTable, resumeItems)
	cursor := place(t, r)
	r.Stop()
	erp := r.Conn(t)
	r.Exec(t, `select setval('rowfeed.open_until', 1)`)
	if _, err := erp.Exec(t.Context(), `update item set n = 100 where id = 1`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := r.Conn(t).QueryRow(t.Context(), `select count(*) from rowfeed.change where new[2] = '100'`).Scan(&n); err != nil || n != 0 {
		t.Fatalf("captured %d changes, %v", n, err)
	}
	r.Start(t)
	c := r.Full(t, rig.User(1))
	if f := subscribe(t, c, cursor); f["type"] != "subscribed" || f["resumed"] == true {
		t.Fatalf("want subscribed, not resumed, got %v", f)
	}
	if _, err := erp.Exec(t.Context(), `update item set n = 101 where id = 1`); err != nil {
		t.Fatal(err)
	}
	resynced := false
	for {
		f := c.Next()
		if f["type"] == "item_changed" {
			break
		}
		resynced = resynced || f["type"] == "resync"
	}
	if !resynced {
		t.Error("no resync")
	}
	m := r.Metrics(t)
	if !strings.Contains(m, "rowfeed_outbox_stops_total 1") || strings.Contains(m, "rowfeed_outbox_open_seconds 0") {
		t.Error("the metrics do not tell")
	}
	if w := warnings(t, r); w != "" {
		t.Errorf("readyz warns: %s", w)
	}
	r.Exec(t, `drop function rowfeed.keep_open() cascade`)
	until(t, "readyz warns that captures will stop", func() bool { return strings.Contains(warnings(t, r), "captures stop in ") })
}
