package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/test/rig"
)

// A stranger who holds the lock between leader and triggers makes no node unready: it is a warning and a metric, until it
// is gone.
func TestForeignLockWarns(t *testing.T) {
	t.Parallel()
	r := rig.New(t, expenses, approvals)
	stranger := r.Conn(t)
	warnings := func() []string {
		t.Helper()
		res, err := http.Get("http://" + r.Addr + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var said struct {
			Ready    bool
			Warnings []string
		}
		if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		if !said.Ready || res.StatusCode != http.StatusOK {
			t.Errorf("not ready: %s", res.Status)
		}
		return said.Warnings
	}
	await := func(n int) (list []string) {
		t.Helper()
		for began := time.Now(); ; {
			if list = warnings(); len(list) == n {
				return list
			}
			if time.Since(began) > rig.Limit {
				t.Fatalf("want %d warnings, got %q", n, list)
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	awaitReadiness(t, r, rig.Limit, func(said string) bool { return said == "" })
	await(0)
	key := change.DoorKey("rowfeed", "approvals")
	if _, err := stranger.Exec(context.Background(), "select pg_advisory_lock($1)", key); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("channel approvals: session %d of role postgres", stranger.PgConn().PID())
	if list := await(1); !strings.HasPrefix(list[0], want) {
		t.Errorf("warned of %q, want %q", list[0], want)
	}
	if n := metric(t, r, "rowfeed_source_foreign_lock"); n != 1 {
		t.Errorf("the metric says %d", n)
	}
	if _, err := stranger.Exec(context.Background(), "select pg_advisory_unlock($1)", key); err != nil {
		t.Fatal(err)
	}
	await(0)
}
