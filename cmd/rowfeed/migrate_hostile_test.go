package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestHostileNames: who may make a child of a table gives it a name that would end a comment. Files and plan are run by
// somebody with more rights, and do nothing but what they say.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	m := newMigration(t, sqlDDL+`create table victim (id int primary key);
		create table "k`+"\n"+`drop table public.victim; --" (primary key (id)) inherits (orders);
		create table "d`+"\r"+`drop table public.victim; --" partition of days for values from ('2027-01-01') to ('2028-01-01');
		create schema "a.b"; create table "a.b"."c""d" (id int primary key)`,
		append([]string{`table: '"a.b"."c""d"', columns: [id]`}, sqlRules[:2]...)...)
	dir := t.TempDir()
	before := m.dump()
	m.must(0, "", "sql", "--out", dir)
	m.ups(dir)
	m.must(0, "nothing to do", "plan")
	for _, f := range slices.Backward(files(t, dir, "*.down.sql")) {
		if err := m.psql(f); err != nil {
			t.Fatalf("%s: %v", filepath.Base(f), err)
		}
	}
	m.db.Exec(t, m.must(2, "create trigger", "plan"))
	m.must(0, "drop schema", "down")
	if after := m.dump(); after != before {
		t.Errorf("something is not as it was: %s", after)
	}
}

// TestOddSettings: a database's own settings change neither what is written nor what is read.
func TestOddSettings(t *testing.T) {
	t.Parallel()
	m := newMigration(t, sqlDDL, sqlRules[:2]...)
	dir := t.TempDir()
	m.must(0, "", "sql", "--out", dir)
	set := "alter database " + m.db.Name + " set "
	m.db.Exec(t, set+"quote_all_identifiers = on; "+set+"standard_conforming_strings = off; "+set+"search_path = nowhere; "+
		set+"default_transaction_isolation = serializable; "+set+"lock_timeout = '2s'")
	before := m.dump() // settings show in it
	m.ups(dir)
	m.must(0, "nothing to do", "plan")
	m.must(0, "drop schema", "down")
	m.must(0, "", "up")
	m.must(0, "nothing to do", "up")
	for _, f := range slices.Backward(files(t, dir, "*.down.sql")) {
		if err := m.psql(f); err != nil {
			t.Fatalf("%s: %v", filepath.Base(f), err)
		}
	}
	if after := m.dump(); after != before {
		t.Errorf("something is not as it was: %s", after)
	}
}

// TestFilesWantATransaction, also where the session has the lock_timeout that they set.
func TestFilesWantATransaction(t *testing.T) {
	t.Parallel()
	m := newMigration(t, sqlDDL, sqlRules[0])
	dir := t.TempDir()
	m.must(0, "", "sql", "--out", dir)
	text, err := os.ReadFile(filepath.Join(dir, "0001_rowfeed_install.up.sql"))
	if err != nil {
		t.Fatal(err)
	}
	conn := m.db.Connect(t)
	if _, err := conn.Exec(t.Context(), "set lock_timeout = '2s'"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time the session knows the names of what the file keeps
		blocks := strings.SplitAfter(string(text), "end $rowfeed$;\n")
		if _, err := conn.Exec(t.Context(), blocks[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), blocks[1]); err == nil || !strings.Contains(err.Error(), "in one transaction") {
			t.Errorf("statement by statement: %v", err)
		}
	}
}

// TestFullDisk: what could not be printed is an error, not a plan that ends somewhere.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	m := newMigration(t, sqlDDL, sqlRules[0])
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return // not on this system
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	for _, verb := range [][]string{{"plan"}, {"plan", "--format", "sql"}, {"plan", "--format", "json"}, {"plan", "--roles"}, {"status"}} {
		var errs bytes.Buffer
		env := &environment{stdin: strings.NewReader(""), stdout: full, stderr: &errs}
		code := execute(t.Context(), env, append([]string{"migrate", "--config", m.path}, verb...))
		if code != 1 || !strings.Contains(errs.String(), "no space") {
			t.Errorf("%s: exit code %d: %s", verb, code, errs.String())
		}
	}
}

// TestPublicationOfAllTables: whoever follows one is sent rowfeed's tables too, and stops if there are none: plan says so.
func TestPublicationOfAllTables(t *testing.T) {
	t.Parallel()
	m := newMigration(t, sqlDDL+"create publication everything for all tables", sqlRules[0])
	m.must(2, "-- note: publication everything is for all tables", "plan")
	m.must(0, "note: publication everything is for all tables", "up")
	m.must(0, "nothing to do", "plan")
}
