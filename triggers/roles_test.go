package triggers

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/test/pgtest"
)

// staffDDL is an ERP in a schema of its own, with a column that nobody but the ERP should read.
const staffDDL = `create schema erp; create type erp.mood as enum ('so so', 'fine');
	create table erp.staff (id int primary key, name text, mail text, password text, mood erp.mood);
	create view erp.active as select id, name from erp.staff where mood = 'fine';
	create function erp.level(int) returns int language sql as $$ select 1 $$;
	revoke all on function erp.level(int) from public;`

// rights returns what the roles need.
func (b *bundle) rights(readings ...Reading) []Right {
	b.t.Helper()
	list, err := Rights(b.t.Context(), b.conn, b.target, readings)
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// allHeld fails where something lacks.
func (b *bundle) allHeld(readings ...Reading) {
	b.t.Helper()
	for _, r := range b.rights(readings...) {
		if !r.Held {
			b.t.Errorf("not held: %+v", r)
		}
	}
}

// role makes a role; it goes with the server.
func (b *bundle) role(name, options string) string {
	b.t.Helper()
	name += "_" + b.db.Name
	b.exec("create role " + name + " " + options)
	return name
}

// TestReadings: of a query's tables the columns that it reads, of a view the view; and what is granted holds.
func TestReadings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql  string
		want []string
	}{
		"columns":   {`select name from erp.staff where id = $1`, []string{`usage on schema erp`, `select ("id", "name") on erp.staff`}},
		"a view":    {`select a.* from erp.active a;`, []string{`usage on schema erp`, `select ("id", "name") on erp.active`}},
		"rows":      {`select to_jsonb(s) from erp.staff s`, []string{`usage on schema erp`, `select on table erp.staff`}},
		"count":     {`select count(*) from erp.staff -- all`, []string{`usage on schema erp`, `select on table erp.staff`}},
		"functions": {`select erp.level($1)`, []string{`usage on schema erp`, `execute on function erp.level(integer)`}},
		"types":     {`select $1::erp.mood`, []string{`usage on schema erp`}},
		"path":      {`select mail from staff where id = $1::int`, []string{`usage on schema erp`, `select ("id", "mail") on erp.staff`}},
		"a join": {`with s as (select id from erp.staff) select 1 from s join erp.active using (id)`,
			[]string{`usage on schema erp`, `select ("id") on erp.active`, `select ("id") on erp.staff`}},
		"nothing": {`select $1 || pg_catalog.version()`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, staffDDL)
			role := b.role("reader", "login")
			b.target.RuntimeRole = role
			b.exec("alter role " + role + ` set search_path = "$user", erp, public`)
			reading := Reading{"auth.user_query", c.sql}
			own := b.rights()
			var got []string
			for _, r := range b.rights(reading) {
				if slices.Contains(own, r) {
					continue
				}
				if r.Held || r.Of != Runtime || !strings.HasPrefix(r.Why, "auth.user_query ") {
					t.Errorf("%+v", r)
				}
				got = append(got, strings.TrimSuffix(strings.TrimPrefix(r.SQL, "grant "), ` to "`+role+`";`))
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Fatalf("needs %q, want %q", got, c.want)
			}
			reader := b.db.ConnectAs(t, role)
			if _, err := reader.Prepare(t.Context(), "q", c.sql); len(c.want) > 0 && err == nil {
				rows, _ := reader.Query(t.Context(), strings.ReplaceAll(c.sql, "$1", "null"))
				if _, err := pgx.CollectRows(rows, pgx.RowTo[any]); err == nil {
					t.Error("runs without the rights")
				}
			}
			for _, what := range c.want {
				b.exec("grant " + what + " to " + role)
			}
			run1(t, reader, strings.ReplaceAll(c.sql, "$1", "null"))
			for _, r := range b.rights(reading) {
				if !slices.Contains(own, r) && !r.Held {
					t.Errorf("granted, and yet not held: %s", r.SQL)
				}
			}
		})
	}
}

// TestReadingsLeaveNothing: the probe is rolled back, and one query that can't be parsed does not hide the next.
func TestReadingsLeaveNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, staffDDL)
	before := b.one("select count(*)::text from pg_proc")
	var got []string
	for _, r := range b.rights(Reading{"a", "select gone from erp.staff"}, Reading{"b", "selct"}, Reading{"c", "select name from erp.staff"}) {
		if strings.HasPrefix(r.Why, "a") || strings.HasPrefix(r.Why, "b") || strings.HasPrefix(r.Why, "c ") {
			got = append(got, r.Why)
		}
	}
	want := []string{`a: what it reads can't be told: column "gone" does not exist: see to that, then ask again`,
		`b: what it reads can't be told: syntax error at or near "selct": see to that, then ask again`, "c reads it", "c reads it"}
	if !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
	if got := b.one("select count(*)::text from pg_proc"); got != before {
		t.Errorf("%s functions, before there were %s", got, before)
	}
}

// TestRuntimeRole tries all that serve's role has no business with, on the real server, beside what it has.
func TestRuntimeRole(t *testing.T) {
	t.Parallel()
	b := setup(t, staffDDL, change.Want{Table: "erp.staff", Channel: "orders", Columns: []string{"name"}, Wake: "auto"})
	role := b.role("serve", "login")
	b.target.RuntimeRole = role
	b.up()
	b.allHeld()
	b.exec("insert into erp.staff values (1, 'Sari')")
	schema := ident(b.target.Schema)
	b.exec("revoke create on schema public from public") // which PostgreSQL 14 grants
	serve := b.db.ConnectAs(t, role)
	for _, name := range readable {
		run1(t, serve, "select * from "+schema+"."+name)
	}
	for _, sql := range []string{"select {s}.epoch()", "select {s}.tick()", "select {s}.rotate()", "select {s}.ask('kick', '{}')",
		"select * from {s}.requested(gen_random_uuid())", "select {s}.answer(gen_random_uuid(), 'n', '{}')",
		"select * from {s}.answers(gen_random_uuid())"} {
		run1(t, serve, strings.ReplaceAll(sql, "{s}", schema))
	}
	refused := []string{
		"select * from {s}.request", "select * from {s}.answer", "select * from erp.staff", "select erp.level(1)",
		"select {s}." + functionName("erp", "staff") + "()",
		"create table {s}.mine (i int)", "create table public.mine (i int)", "create schema mine", "create table erp.mine (i int)",
		"create function {s}.epoch(int) returns int language sql as 'select 1'",
		"create or replace function {s}.epoch() returns text language sql as $$ select 'x' $$",
		"drop schema {s} cascade", "alter schema {s} rename to mine", "alter schema {s} owner to " + role,
		"drop function {s}.epoch()", "alter function {s}.epoch() security invoker",
		"drop view {s}.change", "create or replace view {s}.change as select 1",
		"set role " + ident(b.target.owner()), "set role " + ident(b.target.operator()), "set role postgres",
		"set session authorization postgres", "grant " + ident(b.target.owner()) + " to " + role, "create role mine",
		"alter role " + role + " superuser", "alter table erp.staff disable trigger all", "drop trigger " + ident(b.target.rowTrigger()) + " on erp.staff",
		"create trigger mine after insert on erp.staff execute function {s}.epoch()", "begin; lock table erp.staff in access share mode",
		"copy {s}.change_0 to program 'true'", "select pg_read_file('PG_VERSION')", "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
		"alter system set fsync = off", "set session_replication_role = replica", "create database mine", "checkpoint",
	}
	for _, name := range append([]string{"request", "answer"}, readable...) {
		for _, sql := range []string{"insert into {t} select * from {t}", "update {t} set {c} = {c}", "delete from {t}", "truncate {t}",
			"select * from {t} for update", "begin; lock table {t} in access exclusive mode", "alter table {t} add column x int", "drop table {t}",
			"alter table {t} owner to " + role, "alter table {t} enable row level security", "create index on {t} ({c})",
			"comment on table {t} is 'x'",
			"create trigger mine after insert on {t} execute function {s}.epoch()"} {
			column := map[string]string{"installation": "version", "channel": "name", "capture": "hash", "request": "kind", "answer": "node"}[name]
			if column == "" {
				column = "op"
			}
			refused = append(refused, strings.NewReplacer("{t}", schema+"."+name, "{c}", column).Replace(sql))
		}
	}
	for _, sql := range refused {
		sql = strings.ReplaceAll(sql, "{s}", schema)
		code := sqlState(serve.PgConn().Exec(t.Context(), sql).Close())
		run1(t, serve, "rollback")
		view := strings.Contains(sql, schema+".change ") || strings.HasSuffix(sql, schema+".change")
		if code != noPrivilege && (!view || code != notPossible && code != wrongObject) {
			t.Errorf("%s: SQLSTATE %q", sql, code)
		}
	}
	// Who may not pass a right on is only warned.
	run1(t, serve, strings.ReplaceAll("grant execute on function {s}.epoch() to public; grant select on {s}.change_0, {s}.change to public", "{s}", schema))
	if got := b.one("select has_table_privilege(0::oid, '" + schema + ".change_0', 'select')::text || has_function_privilege(0::oid, '" +
		schema + ".epoch()', 'execute')"); got != "falsefalse" {
		t.Errorf("PUBLIC may read and call: %s", got)
	}
}

// SQLSTATEs of what a view is not for, whoever asks: PostgreSQL manual, appendix A.
const (
	notPossible = "55000"
	wrongObject = "42809"
)

// TestPlainRole: a role of the ERP that may write its tables and knows nothing of the schema is captured like any other.
func TestPlainRole(t *testing.T) {
	t.Parallel()
	b := setup(t, staffDDL, change.Want{Table: "erp.staff", Channel: "orders", Columns: []string{"name", "mood"}, Wake: "auto"})
	clerk := b.role("clerk", "login")
	b.exec("grant usage on schema erp to " + clerk + "; grant insert, update, delete, truncate, select on erp.staff to " + clerk)
	b.up()
	conn := b.db.ConnectAs(t, clerk)
	run1(t, conn, "insert into erp.staff (id, name, mood) values (1, 'a', 'fine'); update erp.staff set name = 'b'; delete from erp.staff; truncate erp.staff")
	b.appended("a plain role", "i a,fine,1", "u b,fine,1 < a,fine,1", "d < b,fine,1", "t")
	for _, sql := range []string{"select * from {s}.change", "select {s}.epoch()", "select {s}.tick()", "insert into {s}.channel values (9, 'a', 'b')",
		"create trigger mine after insert on erp.staff execute function {s}." + functionName("erp", "staff") + "()"} {
		sql = strings.ReplaceAll(sql, "{s}", ident(b.target.Schema))
		if code := sqlState(conn.PgConn().Exec(t.Context(), sql).Close()); code != noPrivilege {
			t.Errorf("%s: SQLSTATE %q", sql, code)
		}
	}
}

// TestInstaller installs as a role that is no superuser, who gets what Rights lists and nothing else.
func TestInstaller(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{
		"owns tables":        "login",
		"may make roles":     "login createrole",
		"does not inherit":   "login noinherit",
		"is not their owner": "login",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupIn(t, pgtest.NewIn(t, pgtest.NewServer(t, nil)), staffDDL,
				change.Want{Table: "erp.staff", Channel: "orders", Columns: []string{"name", "mood"}, Wake: "auto"})
			b.exec("create role keeper nologin; create role installer " + options)
			owner := "installer"
			if name == "is not their owner" {
				owner = "keeper"
			}
			b.exec("alter schema erp owner to " + owner + "; alter table erp.staff owner to " + owner)
			b.target.RuntimeRole = "serve"
			super := b.conn
			b.conn = b.db.ConnectAs(t, "installer")
			reading := Reading{"auth.user_query", "select name from erp.staff"}
			for range 2 { // who may not use a schema can't tell what is read in it: asked again they can
				for _, r := range b.rights(reading) {
					if !r.Held && !r.ByUp && r.SQL != "" {
						run1(t, super, r.SQL)
					}
				}
			}
			b.up()
			b.allHeld(reading)
			if s := b.inspect(); !s.Clean() || len(s.Off()) > 0 || len(s.Plan()) > 0 {
				t.Errorf("status %+v, off %q, %d steps", s.Status(), s.Off(), len(s.Plan()))
			}
			run1(t, b.conn, "insert into erp.staff values (1, 'a')")
			b.conn, super = super, b.conn
			b.appended("installed by a plain role", "i a,NULL,1")
			b.conn = super
			b.down()
		})
	}
}
