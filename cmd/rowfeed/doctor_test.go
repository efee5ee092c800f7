package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"

	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

// clinic is an ERP with what can be wrong, and what is right, about who may see what. PostgreSQL 14 lets everybody create in
// public, which doctor says.
const clinic = `
revoke create on schema public from public;
create table auth_user (id int primary key, name text, company_id int, is_active bool);
create table auth_group (id int primary key, name text);
create table auth_user_groups (user_id int, group_id int);
create table share (user_id int, what text) partition by list (user_id);
create table share_1 partition of share for values in (1);
create table share_0 partition of share default;
create view employee as select u.* from auth_user u where is_active;
create materialized view boss as select id from auth_user;
create function grants_of(text) returns setof text language plpgsql as $$ begin return query select name from auth_group; end $$;
create table orders (id int primary key);
grant select on all tables in schema public to rowfeed`

// doctored writes a configuration: auth, and what else there is, at top level.
func doctored(t *testing.T, db *pgtest.DB, auth string, more ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rowfeed.yaml")
	text := `
database: {url: "` + db.URLFor(rig.Role) + `", admin_url: "` + db.URL + `"}
channels:
  orders:
    class: lossless
    rules: [{table: orders, event: e, resource: orders, columns: [id], tenant: any, audience: [all]}]
auth:
` + auth + "\n" + strings.Join(more, "\n") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// diagnose runs doctor and returns what it says, as text and as JSON.
func diagnose(t *testing.T, path string, client *http.Client, code int) (string, []finding) {
	t.Helper()
	run := func(args ...string) string {
		var out, errs bytes.Buffer
		environ := []string{"ROWFEED_SERVER_MAX_CONNECTIONS=1000"} // whatever may be open here
		env := &environment{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, environ: environ, client: client}
		if got := execute(t.Context(), env, append([]string{"doctor", "-c", path}, args...)); got != code || errs.Len() > 0 {
			t.Fatalf("exit code %d, want %d: %s\n%s", got, code, errs.String(), out.String())
		}
		return out.String()
	}
	var findings []finding
	if err := json.Unmarshal([]byte(run("--json")), &findings); err != nil {
		t.Fatal(err)
	}
	return run(), findings
}

// wantFindings fails unless each is in the report, as outcome and check and a part of what it says; and nothing else is
// that is not ok.
func wantFindings(t *testing.T, text string, findings []finding, want ...[3]string) {
	t.Helper()
	left := slices.DeleteFunc(slices.Clone(findings), func(f finding) bool {
		return f.Outcome == outcomeOK || f.Check == "installation" // these tests install nothing
	})
	for _, w := range want {
		i := slices.IndexFunc(left, func(f finding) bool {
			return f.Outcome == w[0] && f.Check == w[1] && strings.Contains(f.About, w[2])
		})
		if i < 0 {
			t.Errorf("no %s of %s that says %q", w[0], w[1], w[2])
			continue
		}
		if left[i].Do == "" {
			t.Errorf("%s: nothing to do about %s", w[1], left[i].About)
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 || t.Failed() {
		t.Errorf("beside these: %+v\nin\n%s", left, text)
	}
}

func setupClinic(t *testing.T) *pgtest.DB {
	t.Helper()
	db := pgtest.New(t)
	rig.MakeRole(t, db)
	db.Exec(t, clinic)
	return db
}

func TestDoctorFindsNothing(t *testing.T) {
	t.Parallel()
	db := setupClinic(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("kX8vQ2mW7pL4sN9tR3yB6hJ1dF5gZ0cAeUiOqWxTvPn"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := doctored(t, db, `
  jwt: {algorithms: [HS256], secret_file: `+secret+`, claims: {token_type: access}, cookie: access_token}
  user: "{user_id}"
  user_query: select company_id, name from employee where id = $1::int;
  grants: ["user:{user_id}"]
  grants_query: |
    select 'role:' || g.name from auth_group g join auth_user_groups ug on ug.group_id = g.id where ug.user_id = $1::int
    union all select 'share:' || what from public.share where user_id = $1::int -- and no more`,
		`server: {allowed_origins: ["https://erp.example", "http://localhost:3000"]}`)
	cfg := must(os.ReadFile(path))
	text, findings := diagnose(t, path, nil, 2)
	wantFindings(t, text, findings,
		[3]string{"warn", "grants tables", "auth.user_query reads public.auth_user, which is not in auth.grants_tables"},
		[3]string{"warn", "grants tables", "auth.grants_query reads public.auth_group, which"},
		[3]string{"warn", "grants tables", "auth.grants_query reads public.auth_user_groups, which"},
		[3]string{"warn", "grants tables", "auth.grants_query reads public.share, which"})

	const tables = `  grants_tables: {auth_user: id, public.auth_group: "", auth_user_groups: user_id, share: user_id}`
	cured := strings.Replace(string(cfg), "  grants: [", tables+"\n  grants: [", 1)
	if err := os.WriteFile(path, []byte(cured), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := rowfeed(t, nil, "migrate", "up", "-c", path); code != 0 {
		t.Fatal(out, errs)
	}
	text, findings = diagnose(t, path, nil, 0)
	for _, f := range findings {
		if f.Outcome != outcomeOK {
			t.Errorf("found %+v in\n%s", f, text)
		}
	}
	const noticed = "changes are noticed of public.auth_group, public.auth_user_groups, public.share\n"
	if !strings.Contains(text, "ok    grants tables: auth.grants_query: "+noticed) {
		t.Errorf("said\n%s", text)
	}
}

func TestDoctorDatabase(t *testing.T) {
	t.Parallel()
	db := setupClinic(t)
	db.Exec(t, "create table hidden (id int); grant update, delete on auth_group to rowfeed")
	const head = `
  jwt: {algorithms: [HS256], secret: kX8vQ2mW7pL4sN9tR3yB6hJ1dF5gZ0cAeUiOqWxTvPn, claims: {token_type: access}}
  grants: ["user:{sub}"]
  grants_tables: {auth_user: id, auth_group: ""}
`
	for name, test := range map[string]struct {
		auth string
		want [][3]string
	}{
		"rights": {"  user_query: select name from hidden, auth_group where hidden.id = $1::int", [][3]string{
			{"fail", "identity queries", "auth.user_query: ERROR: permission denied for table hidden"},
			{"warn", "grants tables", "auth.user_query reads public.hidden"},
			{"warn", "grants tables", "serve's role may write public.auth_group"},
		}},
		"nothing there": {"  grants_query: select name from gone where id = $1::int", [][3]string{
			{"fail", "identity queries", `relation "gone" does not exist`},
			{"fail", "grants tables", `what it reads can't be told: relation "gone" does not exist`},
		}},
		"out of sight": {`  user_query: select e.name from "boss" b join auth_user e using (id) where e.id = $1::int
  grants_query: |
    select grants_of ($1) union select 'db:' || rolname from pg_roles where rolname = $1`, [][3]string{
			{"warn", "grants tables", "public.boss, a materialized view"},
			{"warn", "grants tables", "auth.grants_query reads pg_catalog.pg_authid, of which no change is seen"},
			{"warn", "grants tables", "auth.grants_query calls grants_of"},
		}},
		"columns": {"  user_query: select * from auth_user where id = $1::int", [][3]string{
			{"fail", "identity queries", "auth.user_query: returns 4 columns: make it return 2"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, findings := diagnose(t, doctored(t, db, head+test.auth), nil, 2)
			want := append(test.want, [3]string{"warn", "rights", "role rowfeed of database.url may write tables of the ERP"})
			wantFindings(t, text, findings, want...)
		})
	}
	t.Run("superuser", func(t *testing.T) {
		t.Parallel()
		path := doctored(t, db, head+"  user_query: select name from auth_user where id = $1::int")
		text := strings.Replace(string(must(os.ReadFile(path))), db.URLFor(rig.Role), db.URL, 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		text, findings := diagnose(t, path, nil, 2)
		wantFindings(t, text, findings, [3]string{"warn", "rights", "is a superuser"},
			[3]string{"warn", "grants tables", "serve's role may write public.auth_user"})
	})
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		path := doctored(t, db, head+"  user_query: select name from auth_user where id = $1::int")
		text := strings.ReplaceAll(string(must(os.ReadFile(path))), db.Name, "gone_"+db.Name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		text, findings := diagnose(t, path, nil, 2)
		wantFindings(t, text, findings, [3]string{"fail", "database", "connect to the database by database.url"},
			[3]string{"fail", "database", "connect to the database by database.admin_url"})
	})
}

func TestDoctorTokens(t *testing.T) {
	t.Parallel()
	db := setupClinic(t)
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	published := must(jwkset.NewJWKFromKey(&ec.PublicKey, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "1"}})).Marshal()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/keys" {
			http.NotFound(w, r)
			return
		}
		unnamed := published
		unnamed.KID = ""
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{published, unnamed, map[string]string{"kty": "oct", "k": "AA"}}})
	}))
	t.Cleanup(server.Close)
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, []byte("django-insecure-p4s8x1z0v7c2b5n9m3q6w8e1r4t7y0"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil { // whatever the umask
		t.Fatal(err)
	}
	path := doctored(t, db, `
  jwt: {algorithms: [ES256, RS256], jwks_url: "`+server.URL+`/keys", cookie: c, query_parameter: t}
  grants: ["{groups}", "user:{sub}"]
  grants_query: select 'user:' || name from auth_user where id = $1::int and $2 = 'nobody'
  grants_tables: {auth_user: id}
  issuers:
    - {name: a, algorithms: [ES256], jwks_url: "`+server.URL+`/gone", audience: live}
    - {name: b, algorithms: [HS256], secret_file: `+open+`, audience: live}
    - {name: c, algorithms: [HS256], secret: `+strings.Repeat("change me! ", 4)+`, audience: live}
    - {name: d, algorithms: [HS256], secret: `+strings.Repeat("change me! ", 4)+`, audience: live}
    - {name: e, algorithms: [HS256], secret: short, audience: live}`,
		`server: {allowed_origins: ["https://*.erp.example", "http://erp.example"]}`)
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	text, findings := diagnose(t, path, server.Client(), 2)
	wantFindings(t, text, findings,
		[3]string{"fail", "configuration", "auth.issuers[4].secret (line 18): has 5 bytes"},
		[3]string{"warn", "secrets", "auth.issuers[1].secret_file is a key that Django made for development"},
		[3]string{"warn", "secrets", "auth.issuers[2].secret looks as if it could be guessed"},
		[3]string{"fail", "secrets", "auth.issuers[3].secret is the secret of auth.issuers[2].secret too"},
		[3]string{"warn", "secrets", "auth.issuers[4].secret looks as if"},
		[3]string{"warn", "files", "auth.issuers[1].secret_file can be read by every user of this machine (-rw-r--r--)"},
		[3]string{"warn", "files", "the configuration file, which has a secret"},
		[3]string{"warn", "published keys", "auth.jwt.jwks_url: 2 keys fit ES256, and not all have a kid"},
		[3]string{"fail", "published keys", "no key fits RS256, so tokens signed with it are refused (of the others one is symmetric"},
		[3]string{"fail", "published keys", "auth.issuers[0].jwks_url: answers with status 404"},
		[3]string{"warn", "tokens", "auth.jwt has neither audience nor claims"},
		[3]string{"warn", "tokens", "auth.jwt.issuer is not set beside auth.issuers"},
		[3]string{"warn", "tokens", "auth.jwt.query_parameter"},
		[3]string{"warn", "origins", "server.allowed_origins[0] lets the pages of every subdomain"},
		[3]string{"warn", "origins", "server.allowed_origins[1] is not https"},
		[3]string{"warn", "grants of claims", "auth.grants[0] may make any grant"},
		[3]string{"warn", "grants of claims", `auth.grants[1] makes "user:" grants, and so does auth.grants_query`},
	)
	if strings.Contains(text, "change me") || strings.Contains(text, "insecure-p4") {
		t.Error("a secret is in the report")
	}
}

func TestDoctorCanNotRun(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := rowfeed(t, nil, "doctor", "-c", filepath.Join(t.TempDir(), "missing.yaml"))
	if code != 1 || stdout != "" || !strings.Contains(stderr, "read configuration") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A role that owns the ERP's tables, or that belongs to one which may read everything, has more than it was granted.
func TestDoctorRole(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `create table orders (id int primary key)`)
	for sql, want := range map[string]string{
		``:                                ``,
		`grant pg_read_all_data to @`:     `may read every table`,
		`alter table orders owner to @`:   `owns tables`,
		`grant pg_read_server_files to @`: `may use files`,
	} {
		role := fmt.Sprintf("doctor_%s_%d", db.Name, len(want))
		db.Exec(t, `create role `+role+` login`)
		if sql != "" {
			db.Exec(t, strings.ReplaceAll(sql, "@", role))
		}
		x := &examination{cfg: &config.Config{}, runtime: db.ConnectAs(t, role)}
		f := checkRights(t.Context(), x)[0]
		if (f.Outcome == outcomeOK) != (want == "") || !strings.Contains(f.About, want) {
			t.Errorf("%s: %+v", sql, f)
		}
		db.Exec(t, `alter table orders owner to current_user; drop role `+role)
	}
}
