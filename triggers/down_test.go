package triggers

import (
	"strings"
	"testing"
)

// globals is what the dump of a database leaves out: the roles with their comments and members.
func (b *bundle) globals() string {
	b.t.Helper()
	return b.one(`select string_agg(line, e'\n' order by line) from (
		select format('role %s %s %s %s', rolname, rolcanlogin, rolconfig, shobj_description(oid, 'pg_authid')) from pg_roles
		where rolname like '%` + b.db.Name + `\_%' or rolname like '%` + b.db.Name + `'
		union all select format('member %s %s', roleid::regrole, member::regrole) from pg_auth_members
		where roleid::regrole::text like '%` + b.db.Name + `\_%') x (line)`)
}

// TestForeignRoles: roles of our names that somebody else has made are used, and outlive down.
func TestForeignRoles(t *testing.T) {
	t.Parallel()
	b := setup(t, ordersDDL, want("orders", "status"))
	owner, operator := ident(b.target.owner()), ident(b.target.operator())
	b.exec("create role " + owner + " nologin; create role " + operator + " nologin; comment on role " + operator +
		" is 'the night shift'; grant " + operator + " to postgres; alter default privileges for role " + owner +
		" grant select on tables to public")
	before, roles := b.dump(), b.globals()
	notes := strings.Join(b.inspect().Notes(), "\n")
	for _, name := range []string{b.target.owner(), b.target.operator()} {
		if !strings.Contains(notes, "role "+name+" was not made by rowfeed") {
			t.Errorf("no word about role %s: %s", name, notes)
		}
	}
	b.up()
	b.expect("insert into orders values (1, 'a')", "i a,1")
	if lines := strings.Join(b.down(), "\n"); strings.Count(lines, "stays: rowfeed did not make it") != 2 {
		t.Errorf("down: %s", lines)
	}
	if b.dump() != before || b.globals() != roles {
		t.Errorf("left behind: %s", b.globals())
	}
	b.exec("alter role " + owner + " login")
	if err := b.inspect().Err(); err == nil || !strings.Contains(err.Error(), "may log in") {
		t.Errorf("an owner that may log in: %v", err)
	}
	b.exec("drop owned by " + owner + "; drop role " + owner + ", " + operator)
}

// TestNoOperator: who may not make roles installs without one, and is told what that means.
func TestNoOperator(t *testing.T) {
	t.Parallel()
	b := setup(t, ordersDDL, want("orders", "status"))
	admin, role := b.login("")
	owner := ident(b.target.owner())
	b.exec("create role " + owner + " nologin; grant " + owner + " to " + role + "; alter table orders owner to " + role +
		"; grant create on database " + b.db.Name + " to " + role)
	if err := Up(t.Context(), admin, b.target, func(string) {}); err != nil {
		t.Fatal(err)
	}
	s, err := Inspect(t.Context(), admin, b.target)
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(s.Notes(), "\n"); !strings.Contains(notes, "there is no role "+b.target.operator()) ||
		!strings.Contains(notes, "create role") {
		t.Errorf("notes %s", notes)
	}
	if len(s.Plan()) > 0 || len(s.Off()) > 0 {
		t.Errorf("after up: %v %q", s.Plan(), s.Off())
	}
	if err := Down(t.Context(), admin, b.target.Schema, func(string) {}); err != nil {
		t.Fatal(err)
	}
	b.exec("drop owned by " + owner + "; drop role " + owner)
}

// TestDownAfterDrift: whatever was changed by hand, down leaves the rest as it was.
func TestDownAfterDrift(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	for name, drift := range map[string]string{
		"a table dropped":            "drop table other",
		"a table renamed":            "alter table other rename to another",
		"triggers renamed":           `alter trigger "00_@" on orders rename to mine; alter trigger "00_@_truncate" on orders rename to mine2`,
		"triggers disabled":          "alter table orders disable trigger all",
		"the schema given away":      `alter schema "@" owner to postgres; alter table "@".capture owner to postgres`,
		"a function changed":         `create or replace function "@".tick() returns void language plpgsql as $$ begin end $$`,
		"a function dropped":         `drop function "@".rotate()`,
		"the view dropped":           `drop view "@".change`,
		"tables dropped":             `drop table "@".capture, "@".answer, "@".drift`,
		"a right given":              `grant select on "@".capture to public; grant usage on schema "@" to public`,
		"a second trigger of ours":   `create trigger x after insert on other for each row execute function "@".@capture()`,
		"a column dropped":           "alter table orders drop column status",
		"a table moved":              "create schema elsewhere; alter table other set schema elsewhere",
		"an operator's role dropped": `drop owned by "@_operator"; drop role "@_operator"`,
	} {
		b.exec(`drop table if exists orders, other, another; drop schema if exists elsewhere cascade;` + ordersDDL +
			`create table other (id int primary key, a text)`)
		b.target.Wants = wants("orders", "status", "other", "a")
		b.up()
		drift = strings.ReplaceAll(drift, "@capture", functionName("public", "other"))
		drift = strings.ReplaceAll(drift, "@", b.target.Schema)
		b.exec(drift)
		b.down()
		after := b.dump()
		b.exec(`drop table if exists orders, other, another; drop schema if exists elsewhere cascade;` + ordersDDL +
			`create table other (id int primary key, a text)`)
		if strings.Contains(after, b.target.Schema) || strings.Contains(b.globals(), b.target.Schema) {
			t.Errorf("%s: down left something: %s %s", name, after, b.globals())
		}
	}
}

// TestDownAllOrNothing: where something of others hangs on the outbox, nothing is removed.
func TestDownAllOrNothing(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	schema := ident(b.target.Schema)
	for create, drop := range map[string]string{
		"create view mine as select * from " + schema + ".change":                  "drop view mine",
		"create table " + schema + ".theirs (i int)":                               "drop table " + schema + ".theirs",
		"create table mine (c " + schema + ".capture)":                             "drop table mine",
		"create table mine (i int references " + schema + ".capture)":              "drop table mine",
		"create function " + schema + ".f() returns int return 1":                  "drop function " + schema + ".f()",
		"create function mine() returns uuid return " + schema + ".ask('a', '{}')": "drop function mine()",
		"create type " + schema + ".mood as enum ('a')":                            "drop type " + schema + ".mood",
	} {
		b.exec(create)
		err := Down(t.Context(), b.conn, b.target.Schema, func(string) {})
		if err == nil || !strings.Contains(err.Error(), "nothing was removed") {
			t.Errorf("%s: down: %v", create, err)
		}
		if s := b.inspect(); !s.Clean() || len(s.Off()) > 0 {
			t.Errorf("%s: after down: %+v %q", create, s.Status(), s.Off())
		}
		b.exec(drop)
	}
	b.exec("create schema theirs; create function theirs.capture_x() returns trigger language plpgsql as $$ begin return null; end $$;" +
		"create trigger t after insert on orders for each row execute function theirs.capture_x()")
	err := Down(t.Context(), b.conn, "theirs", func(string) {})
	if err == nil || !strings.Contains(err.Error(), "is not rowfeed's") {
		t.Errorf("down of a schema that is not ours: %v", err)
	}
	if got := b.one("select count(*)::text from pg_trigger where tgname = 't'"); got != "1" {
		t.Error("a trigger of others was dropped")
	}
	stranger, _ := b.login("")
	err = Down(t.Context(), stranger, b.target.Schema, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "nothing was removed") {
		t.Errorf("down as a stranger: %v", err)
	}
}
