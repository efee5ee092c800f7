package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/test/pgtest"
)

// TestServerVersion: what goes to a server says so when that is too old, before it asks it for anything that it may not
// have. make test-versions runs this with one that is; those that are new enough are let in.
func TestServerVersion(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	major, err := db.Server.Major()
	if err != nil {
		t.Fatal(err)
	}
	const tooOld = "is too old: rowfeed needs 14 or newer"
	old := major < change.OldestServer
	db.Exec(t, "create table orders (id int primary key)")
	path := filepath.Join(t.TempDir(), "rowfeed.yaml")
	text := `
database: {url: "` + db.URL + `", schema: version_` + db.Name + `}
server: {listen: "127.0.0.1:0", admin_listen: ""}
auth: {jwt: {algorithms: [HS256], secret: "` + testSecret + `"}, grants: ["user:{sub}"]}
channels:
  orders:
    class: lossless
    rules: [{table: orders, event: e, resource: orders, columns: [id], tenant: any, audience: [all]}]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []struct {
		args         string
		code, oldOne int // the exit code, and where the server is too old
		says         string
	}{
		{"migrate plan", 2, 1, "create trigger"},
		{"migrate status", 2, 2, "is not installed"},
		{"serve", 1, 1, "is not installed"},
		{"doctor", 2, 2, "database.url is a superuser"},
		{"migrate up", 0, 1, "watch public.orders"},
		{"migrate down", 0, 1, "drop schema"},
	} {
		var out bytes.Buffer
		env := &environment{stdin: strings.NewReader(""), stdout: &out, stderr: &out, environ: []string{"A=b"}}
		code := execute(t.Context(), env, append(strings.Fields(verb.args), "-c", path))
		want, says := verb.code, verb.says
		if old {
			want, says = verb.oldOne, tooOld
		}
		if code != want || !strings.Contains(out.String(), says) || !old && strings.Contains(out.String(), tooOld) {
			t.Errorf("%s on PostgreSQL %d: exit code %d, want %d, and %q in:\n%s", verb.args, major, code, want, says, out.String())
		}
	}
}
