package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"nalar.internal/rowfeed/test/rig"
)

// nasty is what would end a literal, a quoted name or a statement, and then drop a table.
const nasty = `x'"; drop table treasure; --$$\`

// hostile names everything that a database lets one name, and whose name reaches SQL, nastily. The queries of the
// configuration get the user as an argument.
func hostile(t *testing.T) *rig.Rig {
	t.Helper()
	ident := func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
	literal := func(text string) string { return `'` + strings.ReplaceAll(text, `'`, `''`) + `'` }
	text := func(s string) string { return fmt.Sprintf("%q", s) } // YAML's double quotes take Go's escapes
	schema, table, key, column := "s"+nasty, "t"+nasty, "k"+nasty, "c"+nasty
	sql := `create table treasure (id int); create schema ` + ident(schema) + `;
		create table ` + ident(schema) + `.` + ident(table) + ` (` + ident(key) + ` text primary key, ` + ident(column) + ` text, tenant text, owner text);
		create table people (id text, tenant text);
		insert into people values (` + literal(nasty) + `, ` + literal(nasty) + `), ('bob', 'acme'); grant select on people to rowfeed;`
	return rig.New(t, `do $$ begin create role rowfeed login; exception when duplicate_object or unique_violation then null; end $$;`+sql, `
  stock:
    class: lossless
    rules:
      - table: `+text(ident(schema)+"."+ident(table))+`
        event: changed
        resource: levels
        columns: [`+text(key)+`, `+text(column)+`, tenant, owner]
        watch: [`+text(column)+`]
        data: {id: `+text(key)+`, `+text("d"+nasty)+`: `+text(column)+`}
        tenant: "{tenant}"
        audience: ["user:{owner}"]
        message: `+text("{"+column+"} "+nasty)+`
`, `ROWFEED_AUTH_USER_QUERY=select tenant, 'name' from people where id = $1`,
		`ROWFEED_AUTH_GRANTS_QUERY=select 'user:' || id from people where id = $1`)
}

// Whatever is in a name or a value that reaches SQL is a name or a value there.
func TestSQLInNamesAndValues(t *testing.T) {
	t.Parallel()
	r := hostile(t)
	token := rig.Token(map[string]any{"user_id": nasty})
	write := func(what string, args ...any) {
		t.Helper()
		conn := r.Conn(t)
		defer conn.Close(context.Background())
		var target string
		if err := conn.QueryRow(t.Context(), `select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where n.nspname like 's%treasure%' and c.relkind = 'r'`).Scan(&target); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), fmt.Sprintf(what, target), args...); err != nil {
			t.Fatal(err)
		}
	}
	full := r.Full(t, token)
	where := fmt.Sprintf(`{%q:[%q,%q]}`, "d"+nasty, nasty, "changed")
	if f := full.Ask(`{"type":"subscribe","ref":%q,"channel":"stock","resource":"levels","key":%q,"where":%s,"cursor":%q}`,
		nasty, nasty, where, "7f3a:1:'; drop table treasure; --"); f["type"] != "subscribed" {
		t.Fatalf("got %v", f)
	}
	if f := full.Next(); f["type"] != "resync" || f["ref"] != nasty {
		t.Fatalf("a made-up cursor: got %v", f)
	}
	plain := r.Plain(t, "/ws/stock/levels/"+url.PathEscape(nasty), token)
	other := r.Full(t, rig.Token(map[string]any{"user_id": "bob"}))
	other.Ask(`{"type":"subscribe","ref":"1","channel":"stock"}`)
	write(`insert into %s values ($1, $1, $1, $1), ('other', $1, $1, $1)`, nasty)
	for _, c := range []*rig.Client{full, plain} {
		f := c.Next()
		data, _ := f["data"].(map[string]any)
		if f["resource_id"] != nasty || data["id"] != nasty || data["d"+nasty] != nasty || f["message"] != nasty+" "+nasty {
			t.Errorf("got %v", f)
		}
	}
	if f := other.Ask(`{"type":"ping"}`); f["type"] != "pong" {
		t.Errorf("somebody of another tenant: got %v", f)
	}
	write(`update %s set "owner" = "owner" || 'x'`)
	if f := full.Next(); f["op"] != "leave" || f["resource_id"] != nasty {
		t.Errorf("got %v", f)
	}
	// From the outbox: what is replayed takes the same way.
	if f := full.Ask(`{"type":"subscribe","ref":"again","channel":"stock","rewind":10}`); f["type"] != "subscribed" {
		t.Errorf("got %v", f)
	}
	for _, user := range []any{"bob' or '1'='1", `bob"`, "bob\\", "bob'; drop table treasure; --", []any{"bob"}, "bob\x00"} {
		c := r.Dial(t, "/ws", http.Header{}, "rowfeed.v1", "bearer."+rig.Token(map[string]any{"user_id": user}))
		if ce := c.Closed(); ce.Code != 4501 {
			t.Errorf("user %q: closed with %v, want 4501", user, ce)
		}
	}
	r.Exec(t, `select from treasure`) // it is still there
	if n := strings.Count(r.Metrics(t), "rowfeed_rule_faults_total{"); n != 0 {
		t.Errorf("%d kinds of faults", n)
	}
}

// The names that rowfeed itself makes up SQL from can't hold anything to begin with.
func TestSQLInOwnNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ variable, value, key string }{
		{"ROWFEED_DATABASE_SCHEMA", nasty, "database.schema"},
		{"ROWFEED_DATABASE_SCHEMA", "rowfeed\"", "database.schema"},
		{"ROWFEED_CHANNELS", `{` + fmt.Sprintf("%q", nasty) + `: {class: latest, wake: auto, rules: []}}`, "channels."},
		{"ROWFEED_CHANNELS", `{"a'b": {class: latest, wake: auto, rules: []}}`, "channels."},
		{"ROWFEED_CHANNELS", `{".control": {class: latest, wake: auto, rules: []}}`, "channels."},
	} {
		problems := rig.Problems(t, "database: {url: \"postgres://rowfeed@localhost/x\"}\n", tt.variable+"="+tt.value)
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, tt.key) && strings.Contains(p, "can't be") }) {
			t.Errorf("%s=%s: %q", tt.variable, tt.value, problems)
		}
	}
}
