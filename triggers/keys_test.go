package triggers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// keyCases are types of a primary key, two values of it in SQL, and how they are captured.
var keyCases = []struct{ typ, a, b, textA, textB string }{
	{"bigint", "9007199254740993", "-9223372036854775808", "9007199254740993", "-9223372036854775808"},
	{"smallint", "0", "-1", "0", "-1"},
	{"oid", "4294967295", "1", "4294967295", "1"},
	{"boolean", "false", "true", "false", "true"},
	{"text", `''`, `E'a/b"c\\d, e%2F''\nü😀'`, "", "a/b\"c\\d, e%2F'\nü😀"},
	{"text", `'NULL'`, `' '`, "NULL", " "},
	{"varchar(10)", `'{a,b}'`, `'"'`, "{a,b}", `"`},
	{"char(3)", `'a'`, `'ab'`, "a", "ab"},
	{`"char"`, `'a'`, `'/'`, "a", "/"},
	{"uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'00000000-0000-0000-0000-000000000000'",
		"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"},
	{"date", "'0044-03-15 BC'", "'10000-01-01'", `"0044-03-15 BC"`, `"10000-01-01"`},
	{"timestamptz", "'2026-11-23 07:00:00.000001+07'", "'-infinity'", `"2026-11-23T00:00:00.000001"`, `"-infinity"`},
	{"timestamp", "'2026-11-23 07:00'", "'infinity'", `"2026-11-23T07:00:00"`, `"infinity"`},
	{"time", "'24:00'", "'00:00:00.000001'", `"24:00:00"`, `"00:00:00.000001"`},
	{"interval", "'1 mon -1 day'", "'-00:00:01'", `"P1M-1D"`, `"PT-1S"`},
	{"numeric", "1.10", "'NaN'", "1.10", "NaN"},
	{"numeric(30,10)", "12345678901234567890.1", "0", "12345678901234567890.1000000000", "0.0000000000"},
	{"float8", "0.1", "'-Infinity'", "3fb999999999999a", "fff0000000000000"},
	{"bytea", `'\x00ff'`, `''`, "00ff", ""},
	{"inet", "'10.0.0.1/8'", "'::1'", "10.0.0.1/8", "::1"},
	{"macaddr", "'08:00:2b:01:02:03'", "'0:0:0:0:0:0'", "08:00:2b:01:02:03", "00:00:00:00:00:00"},
	{"bit(3)", "b'101'", "b'000'", `"101"`, `"000"`},
	{"money", "1.5", "-1", `"$1.50"`, `"-$1.00"`},
	{"pg_lsn", "'16/B374D848'", "'0/0'", "16/B374D848", "0/0"},
	{"int4range", "'[1,5)'", "'empty'", `"[1,5)"`, `"empty"`},
	{"int[]", "'{1,null}'", "'{}'", "[1,null]", "[]"},
	{"jsonb", `'{"a":1}'`, "'null'", `{"a": 1}`, "null"},
	{"mood", "'so so'", "'fine'", "so so", "fine"},
	{"feeling", "'so so'", "'fine'", "so so", "fine"},
	{"positive", "7", "8", "7", "8"},
	{"mail", "'a@b'", "'/'", "a@b", "/"},
	{"pair", "row(0.5, 'infinity')", "row(-1, null)", `{"x":0.5,"at":"infinity"}`, `{"x":-1,"at":null}`},
}

// TestKeys: a row of any key can be told apart from all others over its life, a change of the key included.
func TestKeys(t *testing.T) {
	t.Parallel()
	ddl := typesDDL
	var wants []change.Want
	for i, c := range keyCases {
		ddl += fmt.Sprintf("create table k%d (note text, id %s, primary key (id));", i, c.typ)
		wants = append(wants, want(fmt.Sprintf("k%d", i), "note"))
	}
	b := installed(t, ddl, wants...)
	client := b.db.Connect(t)
	for i, c := range keyCases {
		table := fmt.Sprintf("k%d", i)
		run1(t, client, fmt.Sprintf(`insert into %s values ('x', %s); %s`, table, c.a, hostileSettings))
		run1(t, client, fmt.Sprintf(`update public.%s set note = 'y'`, table))
		run1(t, client, fmt.Sprintf(`reset all; update %s set id = %s; delete from %[1]s`, table, c.b))
		b.appended(c.typ, "i x,"+c.textA, "u y,"+c.textA+" < x,"+c.textA, "u y,"+c.textB+" < y,"+c.textA, "d < y,"+c.textB)
	}
}

// TestCompositeKey: the key is kept in its own order, not the table's, and a column of it can be watched too.
func TestCompositeKey(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table lines (note text, pos int, "Doc/No" text, day date, primary key (day, "Doc/No", pos));`,
		want("lines", "note", "Doc/No"))
	b.expect(`insert into lines values ('x', 1, 'a,b', '2026-01-02')`, `i x,a,b,"2026-01-02",1`)
	b.expect(`update lines set day = day + 1`, `u x,a,b,"2026-01-03",1 < x,a,b,"2026-01-02",1`)
	b.expect(`update lines set pos = pos`)
	if got := b.one(`select columns::text || key::text from ` + ident(b.target.Schema, "capture")); got !=
		`{note,Doc/No,day,pos}{2,1,3}` {
		t.Errorf("capture has columns and key %s", got)
	}
}

// TestKeysSwap: keys that change places in one statement come out one by one, each with what it was.
func TestKeysSwap(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int primary key, status text); insert into orders values (1, 'a'), (2, 'b')`,
		want("orders", "status"))
	b.expect(`update orders set id = id + 10`, "u a,11 < a,1", "u b,12 < b,2")
	b.expect(`begin; update orders set id = 0 where id = 11; update orders set id = 11 where id = 12;
		update orders set id = 12 where id = 0; commit`, "u a,0 < a,11", "u b,11 < b,12", "u a,12 < a,0")
	b.expect(`insert into orders values (12, 'c') on conflict (id) do update set id = 13, status = 'd'`, "u d,13 < a,12")
}

// TestKeyChanges under way: a primary key that is dropped, or another one, does not hurt a write, and shows.
func TestKeyChanges(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int primary key, code text not null, status text)`, want("orders", "status"))
	b.exec(`alter table orders drop constraint orders_pkey`)
	b.expect(`insert into orders values (1, 'x', 'a'), (1, 'y', 'a')`, "i a,1", "i a,1")
	if got := b.status(); got.State != Broken || !strings.Contains(strings.Join(got.Problems, ""), "no primary key") {
		t.Errorf("without a primary key: %+v", got)
	}
	b.exec(`alter table orders add primary key (code)`)
	if got := b.status(); got.State != Outdated || !slices.ContainsFunc(got.Problems, func(p string) bool {
		return strings.Contains(p, "captures status, id, wanted are status, code")
	}) {
		t.Errorf("with another primary key: %+v", got)
	}
	b.up()
	b.expect(`delete from orders where code = 'x'`, "d < a,x")
}
