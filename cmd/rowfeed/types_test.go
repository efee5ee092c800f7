package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nalar.internal/rowfeed/test/pgtest"
)

// typesStage is a database with a table, and a configuration of it.
type typesStage struct {
	t        *testing.T
	dir      string
	out, err bytes.Buffer
}

const typesRule = `{table: orders, event: order_changed, resource: orders, columns: [id, status], audience: ["role:all"]}`

func newTypesStage(t *testing.T, rules ...string) *typesStage {
	t.Helper()
	db := pgtest.New(t)
	db.Exec(t, `create table orders (id int primary key, status text not null, total numeric); create view sums as select 1 as id`)
	s := &typesStage{t: t, dir: t.TempDir()}
	text := "database: {url: \"" + db.URL + "\"}\nchannels:\n  orders:\n    class: lossless\n    rules:\n"
	for _, rule := range rules {
		text += "      - " + rule + "\n"
	}
	if err := os.WriteFile(s.file("rowfeed.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *typesStage) file(name string) string { return filepath.Join(s.dir, name) }

// run runs the verb and returns its exit code; what it printed is in out and err.
func (s *typesStage) run(args ...string) int {
	s.out.Reset()
	s.err.Reset()
	env := &environment{stdin: strings.NewReader(""), stdout: &s.out, stderr: &s.err}
	return execute(s.t.Context(), env, append([]string{"types", "--config", s.file("rowfeed.yaml")}, args...))
}

func TestTypesWritesAndChecks(t *testing.T) {
	t.Parallel()
	s := newTypesStage(t, typesRule)
	file := s.file("rowfeed.d.ts")
	if code := s.run("--out", file, "--check"); code != 2 || !strings.Contains(s.err.String(), "is not current: run rowfeed types") {
		t.Errorf("--check of no file: exit code %d, %s", code, s.err.String())
	}
	if code := s.run("--out", file); code != 0 {
		t.Fatalf("exit code %d: %s", code, s.err.String())
	}
	written, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(written), "order_changed: {\n          id: number\n          status: string\n") {
		t.Errorf("%v, written:\n%s", err, written)
	}
	if code := s.run("--out", "-"); code != 0 || s.out.String() != string(written) {
		t.Errorf("to stdout: exit code %d, %s", code, s.out.String())
	}
	if code := s.run("--out", file, "--check"); code != 0 || s.err.Len() > 0 {
		t.Errorf("--check: exit code %d, %s", code, s.err.String())
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if code := s.run("--out", file); code != 0 {
		t.Errorf("again: exit code %d, %s", code, s.err.String())
	}
	if after, err := os.Stat(file); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("a file that is current was written again: %v", err)
	}
	if err := os.WriteFile(file, append(written, "// mine\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if code := s.run("--out", file, "--check"); code != 2 {
		t.Errorf("--check of a changed file: exit code %d", code)
	}
	if code := s.run("--asyncapi", "--out", s.file("rowfeed.yaml.out")); code != 0 {
		t.Errorf("--asyncapi: exit code %d, %s", code, s.err.String())
	}
	document, err := os.ReadFile(s.file("rowfeed.yaml.out"))
	if err != nil || !strings.Contains(string(document), "asyncapi: 3.0.0") {
		t.Errorf("%v, written:\n%s", err, document)
	}
}

func TestTypesErrors(t *testing.T) {
	t.Parallel()
	rule := func(old, by string) string { return strings.Replace(typesRule, old, by, 1) }
	for name, test := range map[string]struct {
		rule, says string
		args       []string
	}{
		"no table":     {rule("orders", "order"), "channels.orders.rules[0].table (line 6): public.order: there is no such table", nil},
		"near":         {rule("orders", "order"), "did you mean public.orders?", nil},
		"no column":    {rule("status", "state"), "public.orders: there is no column state: did you mean status?", nil},
		"a view":       {rule("orders", "sums"), "public.sums: is a view", nil},
		"a condition":  {rule("audience", "if: \"row.total > 1\", audience"), "channels.orders.rules[0].if (line 6)", nil},
		"no file":      {typesRule, "--check wants a file to compare with: name it with --out", []string{"--check"}},
		"no folder":    {typesRule, "write types: open", []string{"--out", "/nowhere/rowfeed.d.ts"}},
		"an argument":  {typesRule, "unexpected argument", []string{"rowfeed.d.ts"}},
		"invalid rule": {rule("resource: orders", "resource: \"\""), "channels.orders.rules[0].resource", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTypesStage(t, test.rule)
			if code := s.run(test.args...); code != 1 || !strings.Contains(s.err.String(), test.says) || s.out.Len() > 0 {
				t.Errorf("exit code %d, want 1, and %q in:\n%s%s", code, test.says, s.err.String(), s.out.String())
			}
		})
	}
}

// TestTypesWithoutDatabase: the column types are the database's to say.
func TestTypesWithoutDatabase(t *testing.T) {
	t.Parallel()
	s := newTypesStage(t, typesRule)
	text, err := os.ReadFile(s.file("rowfeed.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	for url, says := range map[string]string{
		"postgres://rowfeed@127.0.0.1:1/erp": "connect to the database: ",
		"":                                   "database.url",
	} {
		if err := os.WriteFile(s.file("rowfeed.yaml"), []byte("database: {url: \""+url+"\"}\n"+rest), 0o600); err != nil {
			t.Fatal(err)
		}
		if code := s.run(); code != 1 || !strings.Contains(s.err.String(), says) {
			t.Errorf("url %q: exit code %d, %s", url, code, s.err.String())
		}
	}
}
