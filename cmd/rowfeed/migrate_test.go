package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/triggers"
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

// TestPlanReadOnly: who may only read gets the whole plan, and a word on what the role of up would need. JSON and SQL say
// the same as the text.
func TestPlanReadOnly(t *testing.T) {
	t.Parallel()
	m := newMigration(t, sqlDDL, sqlRules...)
	reader := "reader_" + m.db.Name
	m.db.Exec(t, "create role "+reader+" login")
	defer m.db.Exec(t, "drop role "+reader)
	as := strings.Replace(m.db.URL, "postgres@", reader+"@", 1)
	text, err := os.ReadFile(m.path)
	if err != nil || as == m.db.URL {
		t.Fatal(as, err)
	}
	admin := strings.Replace(string(text), "database: {", `database: {admin_url: "`+as+`", `, 1)
	if err := os.WriteFile(m.path, []byte(admin), 0o600); err != nil {
		t.Fatal(err)
	}
	out := m.must(2, "role "+reader+" may not create a schema: grant create on database", "plan")
	for _, says := range []string{"as role " + reader, "is not its owner", `-- share row exclusive on "public"."orders"`, "to do: ",
		`at most 2s for the lock`, `"public"."days" and its partition`, "table public.orders: missing"} {
		if !strings.Contains(out, says) {
			t.Errorf("%q is not in %s", says, out)
		}
	}
	if code, out := m.run("up"); code != 1 || !strings.Contains(out, "may not create a schema") {
		t.Errorf("up: exit code %d: %s", code, out)
	}
	plan := m.must(2, "create schema", "plan", "--format", "json")
	var p planReport
	if err := json.Unmarshal([]byte(plan), &p); err != nil || p.Clean || len(p.Tables) != 3 || len(p.InTheWay) == 0 || len(p.Steps) < 8 {
		t.Fatalf("%v: %s", err, plan)
	}
	all := ""
	for _, step := range p.Steps {
		all += "begin;\n" + triggers.Preamble
		for _, st := range step.Statements {
			all += st.SQL
			if (st.Lock != nil) != strings.Contains(st.SQL, " trigger ") && !strings.Contains(st.SQL, "lock table") {
				if st.Lock != nil || strings.Contains(st.SQL, "create trigger") {
					t.Errorf("lock %+v of %s", st.Lock, st.SQL)
				}
			}
		}
		all += "commit;\n"
	}
	if sql := m.must(2, "", "plan", "--format", "sql"); sql != all {
		t.Errorf("SQL and JSON differ: %s", sql)
	}
	m.must(1, "unknown format", "plan", "--format", "yaml")
	if err := os.WriteFile(m.path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	m.db.Exec(t, all)
	m.must(0, "public.orders: right as it is", "plan")
	m.db.Exec(t, "alter table days_26 disable trigger all")
	status := m.must(2, "", "status", "--format", "json")
	var s statusReport
	if err := json.Unmarshal([]byte(status), &s); err != nil || s.Clean || s.Tables[1].State != triggers.Disabled ||
		!strings.Contains(strings.Join(s.Tables[1].Problems, ";"), `"public"."days_26" is disabled (D`) {
		t.Errorf("%v: %s", err, status)
	}
}
