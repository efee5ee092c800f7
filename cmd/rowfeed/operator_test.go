package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/explain"
	"nalar.internal/rowfeed/test/rig"
)

// operated is a bridge with a session of user 42, and the file that an operator's verbs read.
func operated(t *testing.T) (r *rig.Rig, c *rig.Client, path string) {
	t.Helper()
	r = rig.New(t, `create table orders (id int primary key, owner int, state text default 'new')`, `
  orders:
    class: lossless
    rules:
      - {table: orders, event: order_changed, resource: orders, columns: [id, owner, state], audience: ["user:{owner}"]}
`)
	c = r.Full(t, rig.User(42))
	c.Ask(`{"type":"subscribe","ref":"a","channel":"orders"}`)
	path = filepath.Join(t.TempDir(), "rowfeed.yaml")
	text := `
database: {url: "` + r.DB.URLFor(rig.Role) + `", admin_url: "` + r.DB.URL + `"}
channels:
  orders:
    class: lossless
    rules:
      - {table: orders, event: order_changed, resource: orders, columns: [id, owner, state], audience: ["user:{owner}"]}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return r, c, path
}

// explain prints what every bridge says, in words and as JSON; without a bridge what can be told without one.
func TestExplain(t *testing.T) {
	t.Parallel()
	r, c, path := operated(t)
	r.Exec(t, `insert into orders values (7, 42)`)
	event := c.Next()["id"].(string)
	stdout, stderr, code := rowfeed(t, nil, "explain", "-c", path, "--user", "42", "--event", event)
	t.Logf("\n%s", stdout)
	if code != 0 || !strings.Contains(stdout, "\n    Sent.\n") || strings.Contains(stdout, "\x1b") {
		t.Fatalf("code %d\n%s%s", code, stdout, stderr)
	}
	stdout, _, code = rowfeed(t, nil, "explain", "-c", path, "--user", "43", "--table", "orders", "--key", "7", "--json")
	var report explain.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 {
		t.Fatalf("code %d, %v\n%s", code, err, stdout)
	}
	if len(report.Changes) != 1 || report.Changes[0].Rules[0].Outcome.Name != explain.Subscribed {
		t.Errorf("%s", stdout)
	}
	for _, args := range [][]string{
		{"--event", event}, {"--user", "42"}, {"--user", "42", "--table", "orders"},
		{"--user", "42", "--table", "orders", "--key", "7", "-n", "100"},
	} {
		if _, stderr, code = rowfeed(t, nil, append([]string{"explain", "-c", path}, args...)...); code != 1 || !strings.Contains(stderr, "explain: ") {
			t.Errorf("%v: code %d, %s", args, code, stderr)
		}
	}

	_ = c.CloseNow()
	r.Stop()
	stdout, stderr, code = rowfeed(t, nil, "explain", "-c", path, "--user", "42", "--table", "orders", "--key", "7")
	t.Logf("\n%s%s", stderr, stdout)
	if code != 0 || !strings.Contains(stderr, "no bridge") || !strings.Contains(stdout, "For those in the audience") ||
		!strings.Contains(stdout, `"user:42"`) {
		t.Errorf("without a bridge: code %d\n%s%s", code, stderr, stdout)
	}
}

// kick says how many sessions it closed on which nodes: 2 where there were none, 1 where no bridge runs.
func TestKick(t *testing.T) {
	t.Parallel()
	r, c, path := operated(t)
	stdout, stderr, code := rowfeed(t, nil, "kick", "-c", path, "--user", "42")
	if code != 0 || !strings.Contains(stdout, "1 session closed") {
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
	if end := c.Closed(); end.Code != 4003 {
		t.Errorf("closed with %d", end.Code)
	}
	if stdout, _, code = rowfeed(t, nil, "kick", "-c", path, "--session", "none-1"); code != 2 || !strings.Contains(stdout, "0 sessions") {
		t.Errorf("nobody: code %d\n%s", code, stdout)
	}
	if _, stderr, code = rowfeed(t, nil, "kick", "-c", path, "--session", "none-1", "--tenant", ""); code != 1 || !strings.Contains(stderr, "go with a user") {
		t.Errorf("both: code %d, %s", code, stderr)
	}
	r.Stop()
	if _, stderr, code = rowfeed(t, nil, "kick", "-c", path, "--user", "42"); code != 1 || !strings.Contains(stderr, "no bridge is connected") {
		t.Errorf("no bridge: code %d, %s", code, stderr)
	}
}
