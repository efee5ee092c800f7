package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/triggers"
)

// TestMigrateRoles installs as a role that is no superuser, by what plan --roles prints and nothing else, and finds that
// doctor has nothing to say against it.
func TestMigrateRoles(t *testing.T) {
	t.Parallel()
	db := pgtest.NewIn(t, pgtest.NewServer(t, nil))
	db.Exec(t, `revoke create on schema public from public; revoke connect on database `+db.Name+` from public;
		create role keeper; create role dba login; grant connect on database `+db.Name+` to dba;
		create schema erp authorization keeper; set role keeper;
		create table erp.orders (id int primary key, owner int);
		create table erp.staff (id int primary key, name text, password text)`)
	path := filepath.Join(t.TempDir(), "rowfeed.yaml")
	text := `
database: {url: "` + db.URLFor("serve") + `", admin_url: "` + db.URLFor("dba") + `"}
server: {max_connections: 1000}
auth:
  jwt: {algorithms: [HS256], secret: kX8vQ2mW7pL4sN9tR3yB6hJ1dF5gZ0cAeUiOqWxTvPn, claims: {token_type: access}}
  user: "{user_id}"
  user_query: select name from erp.staff where id = $1::int
  grants: ["user:{user_id}"]
  grants_tables: {erp.staff: id}
channels:
  orders:
    class: lossless
    rules: [{table: erp.orders, event: e, resource: orders, columns: [id, owner], tenant: any, audience: ["user:{owner}"]}]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) string {
		t.Helper()
		out, errs, code := rowfeed(t, nil, append(args, "-c", path)...)
		if code != want || errs != "" {
			t.Fatalf("%v: exit code %d, want %d: %s\n%s", args, code, want, errs, out)
		}
		return out
	}
	plan := run(2, "migrate", "plan", "--roles")
	for _, want := range []string{`create role "serve" login; --`, `grant "keeper" to "dba"`, `create role "rowfeed_owner" nologin; --`,
		"-- auth.user_query: what it reads can't be told: permission denied for schema erp: see to that, then ask again\n"} {
		if !strings.Contains(plan, want) {
			t.Errorf("no %q in\n%s", want, plan)
		}
	}
	db.Exec(t, plan)
	plan = run(2, "migrate", "plan", "--roles")
	if !strings.Contains(plan, "\n"+`grant select ("id", "name") on erp.staff to "serve"; -- auth.user_query reads it`+"\n") {
		t.Errorf("the query's columns are not in\n%s", plan)
	}
	db.Exec(t, plan)
	run(0, "migrate", "plan", "--roles")
	run(0, "migrate", "up")
	var rights []triggers.Right
	if err := json.Unmarshal([]byte(run(0, "migrate", "plan", "--roles", "--format", "json")), &rights); err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(rights, func(r triggers.Right) bool { return !r.Held }); i >= 0 || len(rights) < 10 {
		t.Errorf("%d rights, number %d is not held", len(rights), i)
	}
	run(0, "doctor")
	run(0, "migrate", "status")
	run(0, "migrate", "down")
}
