package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nalar.internal/rowfeed/test/pgtest"
)

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
	path := filepath.Join(t.TempDir(), "rowfeed.yaml")
	text := `
database: {url: "` + db.URLFor("rowfeed") + `", admin_url: "` + db.URL + `"}
server: {listen: "127.0.0.1:0", admin_listen: ""}
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
		{"table not migrated", "create table more (id int primary key, owner int)", []string{"serve"}, rule("more", "owner"), "migrate up"},
		{"no rights", "", []string{"serve"}, []string{"ROWFEED_DATABASE_URL=" + db.URLFor("stranger")}, "role stranger may not read schema rowfeed"},
		{"no such database", "", []string{"serve"}, []string{"ROWFEED_DATABASE_URL=" + strings.Replace(db.URL, db.Name, "nowhere", 1)}, "nowhere"},
		{"grants query", "", []string{"serve"}, []string{"ROWFEED_AUTH_GRANTS_QUERY=select secret from salaries where id = $1"}, "salaries"},
		{"port in use", "", []string{"serve"}, []string{"ROWFEED_SERVER_LISTEN=" + taken.Addr().String()}, "the port is in use"},
		{"trigger disabled", "alter table orders disable trigger user", []string{"serve"}, nil, "disabled"},
		{"column dropped", "alter table orders enable always trigger \"00_rowfeed\"; alter table orders enable always trigger \"00_rowfeed_truncate\"; alter table orders rename owner to proprietor", []string{"serve"}, nil, "owner"},
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
