package triggers

import (
	"slices"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// hostile are session settings that change how values print, and a search_path on which other functions and operators
// lie in wait.
const hostile = `
	set search_path = evil, pg_catalog, public;` + hostileSettings

const hostileSettings = ` set TimeZone = 'Asia/Tokyo'; set DateStyle = 'SQL, DMY';
	set IntervalStyle = 'sql_standard'; set bytea_output = 'escape'; set extra_float_digits = -15;
	set quote_all_identifiers = on; set standard_conforming_strings = off; set xmlbinary = hex;
	set statement_timeout = 0; set lc_monetary = 'C';`

// evil is what search_path leads to: each raises when it is called.
const evil = `create schema evil; grant usage on schema evil to public;
	create function evil.boom(text, text) returns bool language plpgsql as $$ begin raise 'evil'; end $$;
	create function evil.boom(text[], text[]) returns bool language plpgsql as $$ begin raise 'evil'; end $$;
	create function evil.boom(int8, int8) returns bool language plpgsql as $$ begin raise 'evil'; end $$;
	create function evil.boom(int8, int4) returns bool language plpgsql as $$ begin raise 'evil'; end $$;
	create function evil.boom("char", "char") returns bool language plpgsql as $$ begin raise 'evil'; end $$;
	create operator evil.= (leftarg = text, rightarg = text, function = evil.boom);
	create operator evil.<> (leftarg = text, rightarg = text, function = evil.boom);
	create operator evil.= (leftarg = int8, rightarg = int8, function = evil.boom);
	create operator evil.= (leftarg = int8, rightarg = int4, function = evil.boom);
	create operator evil.<> (leftarg = text[], rightarg = text[], function = evil.boom);
	create operator evil.<> (leftarg = "char", rightarg = "char", function = evil.boom);
	create function evil.clock_timestamp() returns timestamptz language plpgsql as $$ begin raise 'evil'; end $$;
	create function evil.encode(bytea, text) returns text language plpgsql as $$ begin raise 'evil'; end $$;
	create function evil.to_json(anyelement) returns json language plpgsql as $$ begin raise 'evil'; end $$;
	create function evil.pg_notify(text, text) returns void language plpgsql as $$ begin raise 'evil'; end $$;
	create domain evil.text as pg_catalog.int4; create domain evil.regtype as pg_catalog.int4;`

// typeCase is a type, a value in SQL, how it is captured, and its kind.
type typeCase struct {
	typ, value, text string
	kind             change.Kind
}

var typeCases = []typeCase{
	{"smallint", "-32768", "-32768", change.Integer},
	{"bigint", "9223372036854775807", "9223372036854775807", change.Integer},
	{"oid", "4294967295", "4294967295", change.Integer},
	{"boolean", "true", "true", change.Bool},
	{"numeric", "12345678901234567890.123456789012345678900", "12345678901234567890.123456789012345678900", change.Numeric},
	{"numeric", "'NaN'", "NaN", change.Numeric},
	{"numeric", "'-Infinity'", "-Infinity", change.Numeric},
	{"numeric", "'1e300'", "1" + strings.Repeat("0", 300), change.Numeric},
	{"numeric(14,2)", "0.1", "0.10", change.Numeric},
	{"float8", "0.1::float8 + 0.2::float8", "3fd3333333333334", change.Float},
	{"float8", "'NaN'", "7ff8000000000000", change.Float},
	{"float8", "'-Infinity'", "fff0000000000000", change.Float},
	{"float8", "'-0'", "8000000000000000", change.Float},
	{"real", "0.5", "3fe0000000000000", change.Float},
	{"text", "E'a\\\\b\"c\\'\\n'", "a\\b\"c'\n", change.Text},
	{"text", "''", "", change.Text},
	{"varchar(20)", "'Jalan'", "Jalan", change.Text},
	{"char(4)", "'ab'", "ab", change.Text},
	{`"char"`, "'x'", "x", change.Text},
	{"name", "'n'", "n", change.Text},
	{"uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", change.Text},
	{"public.mood", "'so so'", "so so", change.Text},
	{"inet", "'10.0.0.1'", "10.0.0.1", change.Text},
	{"inet", "'10.0.0.1/8'", "10.0.0.1/8", change.Text},
	{"cidr", "'10.0.0.0/8'", "10.0.0.0/8", change.Text},
	{"json", `'{"a": "\u0000",  "a":1}'`, `{"a": "\u0000",  "a":1}`, change.JSON},
	{"jsonb", `'{"b":1e3,  "a":[null]}'`, `{"a": [null], "b": 1000}`, change.JSON},
	{"bytea", `'\x00ff10'`, "00ff10", change.Bytes},
	{"timestamptz", "'2026-11-23 08:15:02.114+07'", `"2026-11-23T01:15:02.114"`, change.Timestamptz},
	{"timestamptz", "'infinity'", `"infinity"`, change.Timestamptz},
	{"timestamp", "'2026-03-04 05:06:07'", `"2026-03-04T05:06:07"`, change.JSON},
	{"timestamp", "'-infinity'", `"-infinity"`, change.JSON},
	{"date", "'2026-03-04'", `"2026-03-04"`, change.JSON},
	{"time", "'05:06:07.5'", `"05:06:07.5"`, change.JSON},
	{"timetz", "'05:06:07+05:30'", `"05:06:07+05:30"`, change.JSON},
	{"interval", "'1 day 2 hours'", `"P1DT2H"`, change.JSON},
	{"money", "1234.5::numeric::money", `"$1,234.50"`, change.JSON},
	{"int[]", "'{1,null,3}'", "[1,null,3]", change.JSON},
	{"text[]", `array['a"b', null]`, `["a\"b",null]`, change.JSON},
	{"float8[]", "array[0.1::float8 + 0.2::float8]", "[0.30000000000000004]", change.JSON},
	{"timestamptz[]", "array['2026-11-23 08:15:02+07'::timestamptz]", `["2026-11-23T01:15:02+00:00"]`, change.JSON},
	{"bytea[]", `array['\x00ff'::bytea]`, `["\\x00ff"]`, change.JSON},
	{"interval[]", "array['1 day'::interval]", `["P1D"]`, change.JSON},
	{"public.mood[]", "'{so so}'", `["so so"]`, change.JSON},
	{"point", "'(0.1,2)'", `"(0.1,2)"`, change.JSON},
	{"daterange", "'[2026-01-31,2026-02-03)'", `"[2026-01-31,2026-02-03)"`, change.JSON},
	{"tstzrange", "'[2026-01-31 07:00+07,)'", `"[\"2026-01-31 00:00:00+00\",)"`, change.JSON},
	{"int4range", "'[1,5)'", `"[1,5)"`, change.JSON},
	{"public.pair", "row(0.1::float8 + 0.2::float8, '2026-11-23 07:00+07')",
		`{"x":0.30000000000000004,"at":"2026-11-23T00:00:00+00:00"}`, change.JSON},
	{"public.positive", "7", "7", change.Integer},
	{"public.moment", "'2026-11-23 07:00+07'", `"2026-11-23T00:00:00"`, change.Timestamptz},
	{"public.mail", "'a@b'", "a@b", change.Text},
	{"public.feeling", "'so so'", "so so", change.Text},
	{"xml", "'<a/>'", `"<a/>"`, change.JSON},
	{"bit varying(8)", "b'101'", `"101"`, change.JSON},
	{"regclass", "'public.elsewhere'", `"public.elsewhere"`, change.JSON},
}

const typesDDL = `create type mood as enum ('so so', 'fine'); create type pair as (x float8, at timestamptz);
	create domain positive as int check (value > 0); create domain moment as timestamptz; create domain mail as text;
	create domain feeling as mood; create table elsewhere (i int);`

// TestTypes captures each type alone: the SET clauses that it needs are its own, no other column's.
func TestTypes(t *testing.T) {
	t.Parallel()
	testTypes(t, typesDDL+evil, typeCases)
}

func testTypes(t *testing.T, ddl string, cases []typeCase) {
	t.Helper()
	var wants []change.Want
	for i, c := range cases {
		name := "t" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		ddl += "create table " + name + " (id int primary key, x " + c.typ + ");"
		wants = append(wants, want(name, "x"))
	}
	b := installed(t, ddl, wants...)
	client := b.db.Connect(t)
	run1(t, client, hostile)
	for i, c := range cases {
		table := wants[i].Table
		if got := b.one(`select kinds[1] from ` + ident(b.target.Schema, "capture") + ` where relation = 'public.` + table +
			`'`); got != string(c.kind) {
			t.Errorf("%s: kind %s, want %s", c.typ, got, c.kind)
		}
		run1(t, client, `set standard_conforming_strings = on; set search_path = public; insert into public.`+table+
			` values (1, null); `+hostile)
		b.changes()
		value := one(t, b.conn, `update public.`+table+` set x = `+c.value+` returning 'ok'`)
		if got, want := b.changes(), []string{"u " + c.text + ",1 < NULL,1"}; value != "ok" || !slices.Equal(got, want) {
			t.Errorf("%s %s: appended %q, want %q", c.typ, c.value, got, want)
		}
		// The same value, from the hostile session: nothing but the key may differ.
		run1(t, client, `update public.`+table+` set id = 2`)
		if got, want := b.changes(), []string{"u " + c.text + ",2 < " + c.text + ",1"}; !slices.Equal(got, want) {
			t.Errorf("%s %s in a hostile session: appended %q, want %q", c.typ, c.value, got, want)
		}
	}
}

func TestPlainTypesNeedNoSettings(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id bigint primary key, a text, b numeric, c timestamptz, d date, e float8, f jsonb,
		g uuid, h bytea, i text[]); create table stays (id int primary key, i interval);`,
		want("orders", "a", "b", "c", "d", "e", "f", "g", "h", "i"), want("stays", "i"))
	for table, settings := range map[string]string{"orders": "NULL", "stays": "{IntervalStyle=iso_8601}"} {
		got := b.one(`select proconfig::text from pg_proc where proname = '` + functionName("public", table) + `'`)
		if got != settings {
			t.Errorf("%s has settings %s, want %s", table, got, settings)
		}
	}
}

// TestDrift changes tables under live triggers: every write goes on, and what can't be told truthfully is a resync. One
// client has used the function before, which keeps its plans; another has not.
func TestDrift(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ ddl, state string }{
		"drop":            {"alter table orders drop column amount", Broken},
		"rename":          {"alter table orders rename amount to total", Broken},
		"to text":         {"alter table orders alter amount type text using amount::text", Outdated},
		"to float":        {"alter table orders alter amount type float8", Outdated},
		"time to zone":    {"alter table orders alter at type timestamp", Outdated},
		"time to date":    {"alter table orders alter at type date", Outdated},
		"domain to plain": {"alter table orders alter positive type numeric", Outdated},
		"array to text":   {"alter table orders alter tags type text using 'x'", Outdated},
		"enum to text":    {"alter table orders alter mood type text", Outdated},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := installed(t, typesDDL+`create table orders (id bigint primary key, amount numeric, at timestamptz,
				positive positive, mood mood, tags int[])`, want("orders", "amount", "at", "positive", "mood", "tags"))
			veteran := b.db.Connect(t)
			run1(t, veteran, `insert into orders (id) values (1)`)
			b.changes()
			b.exec(c.ddl)
			run1(t, veteran, `update orders set id = 2; insert into orders (id) values (3); delete from orders where id = 3`)
			b.appended(c.ddl+", a client from before", "r", "r", "r")
			run1(t, b.db.Connect(t), `update orders set id = 3; truncate orders`)
			b.appended(c.ddl+", a new client", "r", "t")
			if got := b.status(); got.State != c.state || len(b.inspect().Drifted()) == 0 {
				t.Errorf("status %+v, want %s", got, c.state)
			}
			if c.state == Broken {
				return
			}
			b.up()
			run1(t, veteran, `insert into orders (id) values (1)`)
			b.appended("after up", "i NULL,NULL,NULL,NULL,NULL,1")
			if got := b.one(`select count(*)::text from ` + ident(b.target.Schema, "capture")); got != "2" {
				t.Errorf("%s versions, want 2", got)
			}
		})
	}
}

// TestHarmlessChanges are those that leave the text as it was, or are none of ours.
func TestHarmlessChanges(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int primary key, a varchar(5), b int, c text)`, want("orders", "a"))
	b.expect(`insert into orders values (1, 'a')`, "i a,1")
	b.expect(`alter table orders alter a type varchar(50), alter b type bigint, drop column c, add column d int default 5;
		update orders set a = 'b'`, "u b,1 < a,1")
	b.expect(`alter table orders rename to sales; update sales set a = 'c'`, "u c,1 < b,1")
}

// TestUnwatchedPoison are values that a whole-row trigger would stumble over.
func TestUnwatchedPoison(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int primary key, status text, j json, n numeric, big bytea)`,
		want("orders", "status"))
	b.expect(`insert into orders values (1, 'a', '{"\u0000": "\ud800"}', 'NaN', decode(repeat('00', 10000000), 'hex'))`, "i a,1")
}

// TestRowTooLarge: an outbox row that the server could not hold is a resync, not the ERP's error.
func TestRowTooLarge(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int primary key, doc text)`, want("orders", "doc"))
	b.exec(`insert into orders values (1, repeat('x', 150000000))`)
	if got := b.one(`select string_agg(op::text, '') from ` + ident(b.target.Schema, "change")); got != "i" {
		t.Errorf("a row of 150 MB is %q, want i", got)
	}
	b.exec(`truncate ` + ident(b.target.Schema, "change_0") + `, ` + ident(b.target.Schema, "change_1") + `, ` +
		ident(b.target.Schema, "change_2"))
	b.expect(`update orders set doc = doc || 'y'`, "r")
}
