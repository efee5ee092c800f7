package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/pgtest"
)

// migration is a database and a configuration of it.
type migration struct {
	t            *testing.T
	db           *pgtest.DB
	path, schema string
}

func newMigration(t *testing.T, ddl string, rules ...string) *migration {
	t.Helper()
	m := &migration{t: t, db: pgtest.New(t), path: filepath.Join(t.TempDir(), "rowfeed.yaml")}
	m.schema = "migrate_" + m.db.Name // roles belong to the server, which other tests use too
	m.db.Exec(t, ddl)
	m.configure(rules...)
	t.Cleanup(func() {
		if code, out := m.run("down"); code != 0 {
			t.Errorf("down: exit code %d: %s", code, out)
		}
	})
	return m
}

// configure writes the rules; each is the inside of a YAML map, to which what every rule has is added.
func (m *migration) configure(rules ...string) {
	m.t.Helper()
	text := "database: {url: \"" + m.db.URL + "\", schema: " + m.schema + "}\nchannels:\n  orders:\n    class: lossless\n    rules:\n"
	for _, r := range rules {
		text += "      - {" + r + ", event: changed, resource: things, tenant: any, audience: [\"role:all\"]}\n"
	}
	if err := os.WriteFile(m.path, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// run runs a verb of migrate and returns its exit code and all that it printed.
func (m *migration) run(args ...string) (code int, out string) {
	var b bytes.Buffer
	env := &environment{stdin: strings.NewReader(""), stdout: &b, stderr: &b}
	// t.Context is over when cleanups run.
	code = execute(context.WithoutCancel(m.t.Context()), env, append([]string{"migrate", "--config", m.path}, args...))
	return code, b.String()
}

// must runs a verb that has to end with the code and say something.
func (m *migration) must(code int, says string, args ...string) string {
	m.t.Helper()
	got, out := m.run(args...)
	if got != code || !strings.Contains(out, says) {
		m.t.Fatalf("migrate %s: exit code %d, want %d, and %q in:\n%s", strings.Join(args, " "), got, code, says, out)
	}
	return out
}

// dump is the schema with all rights and owners.
func (m *migration) dump() string {
	m.t.Helper()
	return m.db.Dump(m.t)
}

// psql runs a file as a migration tool does, in one transaction.
func (m *migration) psql(file string) error {
	m.t.Helper()
	program, err := m.db.Server.Tool("psql")
	if err != nil {
		m.t.Fatal(err)
	}
	if program == "" {
		return m.inTransaction(file)
	}
	out, err := exec.CommandContext(m.t.Context(), program, "-1", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, m.db.URL).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// inTransaction does the same where there is no psql.
func (m *migration) inTransaction(file string) error {
	m.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		m.t.Fatal(err)
	}
	conn := m.db.Connect(m.t)
	return pgx.BeginFunc(m.t.Context(), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(m.t.Context(), string(text), pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// files lists what a folder holds, sorted.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func (m *migration) ups(dir string) {
	m.t.Helper()
	for _, f := range files(m.t, dir, "*.up.sql") {
		if err := m.psql(f); err != nil {
			m.t.Fatalf("%s: %v", filepath.Base(f), err)
		}
	}
}

const sqlDDL = `create table orders (id int primary key, status text, note text);
	create table days (id int, day date, a text, primary key (id, day)) partition by range (day);
	create table days_26 partition of days for values from ('2026-01-01') to ('2027-01-01');
	create table "Odd.Name %s" (id int primary key, "a\b" text);`

var sqlRules = []string{"table: orders, columns: [id, status]", "table: days, columns: [id, a]",
	`table: '"Odd.Name %s"', columns: [id, 'a\b']`}

// TestSQLFiles: what the files make is what up makes, to the byte; taken back nothing is left.
func TestSQLFiles(t *testing.T) {
	t.Parallel()
	m := newMigration(t, sqlDDL, sqlRules[:2]...)
	dir, again := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	before := m.dump()
	m.must(0, "0003_rowfeed_watch_public_days.up.sql", "sql", "--out", dir)
	m.must(0, "0001_rowfeed_install.down.sql", "sql", "--out", again)
	for _, f := range files(t, dir, "*") {
		a, err := os.ReadFile(f)
		b, err2 := os.ReadFile(filepath.Join(again, filepath.Base(f)))
		if err != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs the second time: %v %v", filepath.Base(f), err, err2)
		}
	}
	m.must(0, "nothing to write", "sql", "--out", dir)
	m.ups(dir)
	byFiles := m.dump()
	m.must(0, "nothing to do", "plan")
	m.must(0, "installed", "status")
	m.must(0, "nothing to write", "sql", "--out", dir)

	ups := files(t, dir, "*.down.sql")
	for _, f := range slices.Backward(ups) {
		if err := m.psql(f); err != nil {
			t.Fatalf("%s: %v", filepath.Base(f), err)
		}
	}
	if after := m.dump(); after != before {
		t.Errorf("the files taken back left something: %s", after)
	}
	m.ups(dir) // again
	m.must(0, "installed", "status")
	m.must(0, "drop schema", "down")
	m.must(0, "", "up")
	if byUp := m.dump(); !sameSchema(byUp, byFiles) {
		t.Errorf("up makes another schema than the files")
	}
}

// TestSQLFilesLater: a later run adds what has changed, and a file whose database has changed does nothing.
func TestSQLFilesLater(t *testing.T) {
	t.Parallel()
	m := newMigration(t, sqlDDL, sqlRules[0])
	dir := t.TempDir()
	m.must(0, "", "sql", "--out", dir)
	m.ups(dir)
	installed := m.dump()
	m.configure("table: orders, columns: [id, status, note]", sqlRules[1])
	out := m.must(0, "0004_rowfeed_watch_public_days.up.sql", "sql", "--out", dir)
	if strings.Contains(out, "0002") || len(files(t, dir, "*.up.sql")) != 4 {
		t.Errorf("a later run wrote %s", out)
	}
	m.must(0, "0003_rowfeed_watch_public_orders.up.sql is there already", "sql", "--out", dir)
	m.db.Exec(t, "alter table orders alter note type varchar(10)")
	if err := m.psql(filepath.Join(dir, "0004_rowfeed_watch_public_days.up.sql")); err != nil {
		t.Fatal(err)
	}
	m.must(1, "has not been run in this database", "sql", "--out", dir)
	m.db.Exec(t, "alter table orders alter note type text; alter table days add b int; drop table days_26")
	if err := m.psql(filepath.Join(dir, "0003_rowfeed_watch_public_orders.up.sql")); err != nil {
		t.Fatal(err)
	}
	m.must(0, "installed", "status")
	for _, n := range []string{"0004_rowfeed_watch_public_days", "0003_rowfeed_watch_public_orders"} {
		if err := m.psql(filepath.Join(dir, n+".down.sql")); err != nil {
			t.Fatal(err)
		}
	}
	m.configure(sqlRules[0])
	m.must(0, "nothing to do", "plan")
	m.db.Exec(t, "alter table days drop b; create table days_26 partition of days for values from ('2026-01-01') to ('2027-01-01')")
	if after := m.dump(); !sameSchema(after, installed) {
		t.Errorf("taken back, the schema is not as before: %s", after)
	}
}

var constraintTrigger = regexp.MustCompile(`RI_ConstraintTrigger_(\w)_\d+`)

// sameSchema compares schemas that were made at another time: their tables may stand in another order, and the triggers that
// PostgreSQL makes itself are called by numbers.
func sameSchema(a, b string) bool {
	sorted := func(s string) string {
		lines := strings.Split(constraintTrigger.ReplaceAllString(s, "RI_$1"), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	return sorted(a) == sorted(b)
}

// TestSQLGuards: a file that does not fit does nothing, and says why.
func TestSQLGuards(t *testing.T) {
	t.Parallel()
	m := newMigration(t, sqlDDL, sqlRules...)
	dir := t.TempDir()
	m.must(0, "", "sql", "--out", dir)
	ups := files(t, dir, "*.up.sql")
	refused := func(file, says string) {
		t.Helper()
		before := m.dump()
		if err := m.psql(file); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", filepath.Base(file), err, says)
		}
		if m.dump() != before {
			t.Errorf("%s did half", filepath.Base(file))
		}
	}
	refused(ups[1], m.schema) // before the schema is there
	if err := m.psql(ups[0]); err != nil {
		t.Fatal(err)
	}
	refused(ups[0], "is there already")
	m.db.Exec(t, `alter table orders alter status type varchar(5); alter table days detach partition days_26;
		alter table "Odd.Name %s" rename "a\b" to b`)
	for _, f := range ups[1:] {
		refused(f, "are not what they were when this file was made")
	}
	m.db.Exec(t, `alter table orders alter status type text; alter table "Odd.Name %s" rename b to "a\b"`)
	holder, err := pgx.Connect(t.Context(), m.db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.WithoutCancel(t.Context()))
	if _, err := holder.Exec(t.Context(), "begin; update orders set status = status; lock table orders in row exclusive mode"); err != nil {
		t.Fatal(err)
	}
	refused(ups[1], "lock timeout")
	if _, err := holder.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(ups[2])
	if err != nil {
		t.Fatal(err)
	}
	// The guard by itself, as where each statement is a transaction: the settings of those before are gone.
	begin := strings.Index(string(text), "do $rowfeed$ begin\nif ")
	_, err = holder.Exec(t.Context(), string(text[begin:][:strings.Index(string(text[begin:]), "end $rowfeed$;")])+"end $rowfeed$;")
	if err == nil || !strings.Contains(err.Error(), "in one transaction") {
		t.Errorf("without a transaction: %v", err)
	}
	for _, args := range [][]string{{"sql"}, {"sql", "--out", dir, "--depends", "x"}, {"sql", "--out", dir, "--django", "a.b"}} {
		if code, out := m.run(args...); code != 1 {
			t.Errorf("%q: exit code %d: %s", args, code, out)
		}
	}
}
