package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nalar.internal/rowfeed/test/pgtest"
)

// writeOrders writes a configuration with a rule on the table orders, and returns its path.
func writeOrders(t *testing.T, db *pgtest.DB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rowfeed.yaml")
	text := `
database: {url: "` + db.URLFor("rowfeed") + `", admin_url: "` + db.URL + `"}
server: {listen: "127.0.0.1:0", admin_listen: "", drain: 1s}
auth: {jwt: {algorithms: [HS256], secret: "` + testSecret + `"}, user: "{sub}", grants: ["user:{sub}"]}
channels:
  orders:
    class: lossless
    rules:
      - {table: orders, event: order_changed, resource: orders, columns: [id, owner], audience: ["user:{owner}"]}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestServeDatabase checks that a database that is not as the rules need it is told at start, with what to do.
func TestServeDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.NewIn(t, pgtest.NewServer(t, nil))
	db.Exec(t, `create table orders (id int primary key, owner int); create role rowfeed login; create role stranger login`)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	path := writeOrders(t, db)
	const rules = "ROWFEED_CHANNELS_ORDERS_RULES=[{table: %t, event: e, resource: orders, columns: [id, %c], audience: ['user:{%c}']}]"
	rule := func(table, column string) []string {
		return []string{strings.NewReplacer("%t", table, "%c", column).Replace(rules)}
	}
	for _, step := range []struct {
		name, do string
		verb     []string
		environ  []string
		want     string // in the error; empty: success
	}{
		{"not installed", "", []string{"serve"}, nil, "run `rowfeed migrate up`"},
		{"no such table", "", []string{"migrate", "up"}, rule("ordres", "owner"), "ordres"},
		{"no such column", "", []string{"migrate", "up"}, rule("orders", "ovner"), "ovner"},
		{"installed", "", []string{"migrate", "up"}, nil, ""},
		{"no rights", "", []string{"serve"}, []string{"ROWFEED_DATABASE_URL=" + db.URLFor("stranger")}, "role stranger may not read schema rowfeed"},
		{"no such database", "", []string{"serve"}, []string{"ROWFEED_DATABASE_URL=" + strings.Replace(db.URL, db.Name, "nowhere", 1)}, "nowhere"},
		{"grants query", "", []string{"serve"}, []string{"ROWFEED_AUTH_GRANTS_QUERY=select secret from salaries where id = $1"}, "salaries"},
		{"port in use", "", []string{"serve"}, []string{"ROWFEED_SERVER_LISTEN=" + taken.Addr().String()}, "the port is in use"},
		{"function changed", "drop function rowfeed.rotate()", []string{"serve"}, nil, "function rotate is missing"},
	} {
		if step.do != "" {
			db.Exec(t, step.do)
		}
		_, stderr, code := rowfeed(t, step.environ, append(step.verb, "-c", path)...)
		var told string
		for line := range strings.Lines(stderr) {
			if !strings.HasPrefix(line, "{") {
				told += line
			}
		}
		switch {
		case step.want == "" && code != 0:
			t.Fatalf("%s: code %d, stderr\n%s", step.name, code, stderr)
		case step.want != "" && (code != 1 || !strings.Contains(told, step.want)):
			t.Errorf("%s: code %d, want %q, stderr\n%s", step.name, code, step.want, stderr)
		}
		t.Logf("%s: %s", step.name, told)
	}
}

// TestServeDrifted: a table that has drifted keeps the bridge from nothing else; it is told at the start.
func TestServeDrifted(t *testing.T) {
	t.Parallel()
	db := pgtest.NewIn(t, pgtest.NewServer(t, nil))
	db.Exec(t, `create table orders (id int primary key, owner int); create role rowfeed login`)
	path := writeOrders(t, db)
	if _, stderr, code := rowfeed(t, nil, "migrate", "up", "-c", path); code != 0 {
		t.Fatalf("migrate up: %s", stderr)
	}
	db.Exec(t, `alter table orders rename owner to proprietor`)
	bridge := begin(t, "serve", "-c", path)
	warned := false
	for line := range bridge.stderr {
		warned = warned || strings.Contains(line, "table has drifted") && strings.Contains(line, "there is no column owner")
		if strings.Contains(line, `"serving"`) {
			break
		}
	}
	if !warned {
		t.Error("the drift is not told at the start")
	}
	bridge.end(t)
}
