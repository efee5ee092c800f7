package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nalar.internal/rowfeed/test/pgtest"
)

// TestMigrate walks a database from nothing to installed, damaged, repaired and back.
func TestMigrate(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `create table orders (id int primary key, owner int)`)
	schema := "migrate_" + db.Name // the owner role belongs to the server, which other tests use too
	path := filepath.Join(t.TempDir(), "rowfeed.yaml")
	text := `
database: {url: "` + db.URL + `", schema: ` + schema + `}
channels:
  orders:
    class: lossless
    rules:
      - {table: orders, event: order_changed, resource: orders, columns: [id, owner], tenant: any, audience: ["user:{owner}"]}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var plan string
	for _, step := range []struct {
		name, do, verb string
		code           int
		says           string
	}{
		{"plan first", "", "plan", 2, "create trigger"},
		{"status first", "", "status", 2, "is not installed: run `rowfeed migrate up`"},
		{"down first", "", "down", 0, "nothing to do"},
		{"up", "", "up", 0, "watch public.orders"},
		{"up again", "", "up", 0, "nothing to do"},
		{"plan after", "", "plan", 0, "-- nothing to do"},
		{"status after", "", "status", 0, "installed  public.orders"},
		{"disabled", `alter table orders disable trigger "00_` + schema + `"`, "status", 2, "disabled  public.orders"},
		{"plan of the repair", "", "plan", 2, "-- lock: share row exclusive on \"public\".\"orders\""},
		{"repair", "", "up", 0, "watch public.orders"},
		{"status repaired", "", "status", 0, "installed  public.orders"},
		{"gone", "alter table orders rename owner to proprietor", "status", 2, "there is no column owner"},
		{"up without the column", "", "up", 1, "there is no column owner"},
		{"down", "", "down", 0, "drop schema " + schema},
		{"plan at last", "alter table orders rename proprietor to owner", "plan", 2, "create trigger"},
	} {
		if step.do != "" {
			db.Exec(t, step.do)
		}
		var out, errs bytes.Buffer
		e := &environment{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, configPath: path}
		root := newRootCommand(e)
		root.SetArgs([]string{"migrate", step.verb, "--config", path})
		code := 0
		if err := root.ExecuteContext(t.Context()); err != nil {
			code = 1
			if c, ok := err.(exitCode); ok {
				code = int(c)
			}
			errs.WriteString(err.Error())
		}
		if all := out.String() + errs.String(); code != step.code || !strings.Contains(all, step.says) {
			t.Fatalf("%s: exit code %d, want %d, and %q in:\n%s", step.name, code, step.code, step.says, all)
		}
		plan = out.String()
	}
	db.Exec(t, plan) // as printed, for psql
	var out bytes.Buffer
	root := newRootCommand(&environment{stdout: &out, stderr: &out})
	root.SetArgs([]string{"migrate", "down", "--config", path})
	defer func() { // takes the owner role away with it
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Errorf("down: %v: %s", err, out.String())
		}
	}()
	e := &environment{stdout: &out, stderr: &out}
	status := newRootCommand(e)
	status.SetArgs([]string{"migrate", "status", "--config", path})
	if err := status.ExecuteContext(t.Context()); err != nil {
		t.Errorf("status after the plan was run as printed: %v: %s", err, out.String())
	}
}
