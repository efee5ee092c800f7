package bridge_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/fault"
	"nalar.internal/rowfeed/test/rig"
)

// behind puts a proxy between the rig's bridge, which does not run yet, and its database.
func behind(t *testing.T, r *rig.Rig) *fault.Proxy {
	t.Helper()
	server := net.JoinHostPort("127.0.0.1", strconv.Itoa(r.DB.Server.Port()))
	p := fault.New(t, server)
	r.Config.Database.URL = strings.Replace(r.Config.Database.URL, server, p.Addr(), 1)
	return p
}

// readiness is what /readyz says: empty when the bridge is ready.
func readiness(t *testing.T, r *rig.Rig) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+r.Addr+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		return ""
	}
	return string(body)
}

// awaitReadiness waits until /readyz says so, and returns how long that took.
func awaitReadiness(t *testing.T, r *rig.Rig, limit time.Duration, ok func(said string) bool) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		said := readiness(t, r)
		if ok(said) {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			t.Fatalf("after %v /readyz says %q", limit, said)
		}
		<-time.After(20 * time.Millisecond)
	}
}
