package triggers

import (
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// exoticDDL has types of extensions, domains over everything, composites of these, ranges and a base type of the
// customer's own.
const exoticDDL = `create extension citext; create extension hstore; create extension ltree; create extension isn;
	create extension cube; create extension intarray;
	create domain amount as numeric(14,2) check (value >= 0); create domain net as amount default 0;
	create domain flag as boolean; create domain body as jsonb; create domain blob as bytea; create domain ratio as float8;
	create domain tags as text[]; create domain span as daterange; create domain address as inet; create domain ci as citext;
	create domain place as point; create domain late as timestamp;
	create type item as (pos int, price amount, at timestamptz, tags text[]); create domain items as item;
	create type floats as range (subtype = float8); create type parts as enum ('a');
	create type base; create function base_in(cstring) returns base language internal immutable strict as 'int4in';
	create function base_out(base) returns cstring language internal immutable strict as 'int4out';
	create type base (input = base_in, output = base_out, like = int4);
	create type cast_json; create function cj_in(cstring) returns cast_json language internal immutable strict as 'int4in';
	create function cj_out(cast_json) returns cstring language internal immutable strict as 'int4out';
	create type cast_json (input = cj_in, output = cj_out, like = int4);
	create cast (cast_json as int4) without function;
	create function cj_json(x cast_json) returns json language plpgsql as $$ begin
		assert x::int4 <> 3, 'no three'; return json_build_object('n', 100 / x::int4); end $$;
	create cast (cast_json as json) with function cj_json(cast_json);`

var exoticTypes = []typeCase{
	{"numeric", "'1e-1000'", "0." + strings.Repeat("0", 999) + "1", change.Numeric},
	{"numeric", "'1e100000'", "1" + strings.Repeat("0", 100000), change.Numeric},
	{"numeric", "'Infinity'", "Infinity", change.Numeric},
	{"float8", "'1.7976931348623157e308'", "7fefffffffffffff", change.Float},
	{"float8", "'5e-324'", "0000000000000001", change.Float},
	{"real", "'NaN'", "7ff8000000000000", change.Float},
	{"real", "0.1", "3fb99999a0000000", change.Float},
	{"json", `'{"a":1,"a":"\u0000","b":1e999999}'`, `{"a":1,"a":"\u0000","b":1e999999}`, change.JSON},
	{"json", "' null '", " null ", change.JSON},
	{"jsonb", `'"\u007f\ud83d\ude00"'`, "\"\u007f😀\"", change.JSON},
	{"bytea", "''", "", change.Bytes},
	{"timestamptz", "'-infinity'", `"-infinity"`, change.Timestamptz},
	{"timestamptz", "'4713-01-01 00:00 BC+0'", `"4713-01-01T00:00:00 BC"`, change.Timestamptz},
	{"timestamptz", "'294276-12-31 23:59:59.999999+0'", `"294276-12-31T23:59:59.999999"`, change.Timestamptz},
	{"timestamptz", "'10000-01-01+0'", `"10000-01-01T00:00:00"`, change.Timestamptz},
	{"date", "'infinity'", `"infinity"`, change.JSON},
	{"date", "'4713-01-01 BC'", `"4713-01-01 BC"`, change.JSON},
	{"date", "'5874897-12-31'", `"5874897-12-31"`, change.JSON},
	{"timestamp", "'0001-01-01 00:00 BC'", `"0001-01-01T00:00:00 BC"`, change.JSON},
	{"time", "'23:59:59.999999'", `"23:59:59.999999"`, change.JSON},
	{"timetz", "'23:59:59-15:59:59'", `"23:59:59-15:59:59"`, change.JSON},
	{"interval", "'-1 year 2 mons -3 days 04:05:06.7'", `"P-10M-3DT4H5M6.7S"`, change.JSON},
	{"money", "'-92233720368547758.08'", `"-$92,233,720,368,547,758.08"`, change.JSON},
	{"bit(5)", "b'10110'", `"10110"`, change.JSON},
	{"cidr", "'2001:db8::/32'", "2001:db8::/32", change.Text},
	{"macaddr8", "'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05", change.Text},
	{"xml", "'<a b=\"1\">ü</a>'", `"<a b=\"1\">ü</a>"`, change.JSON},
	{"tsvector", "$$'b':2 'a':1A$$", `"'a':1A 'b':2"`, change.JSON},
	{"tsquery", "$$'a' & !'b'$$", `"'a' & !'b'"`, change.JSON},
	{"xid8", "'18446744073709551615'", "18446744073709551615", change.Text},
	{"xid", "'4294967295'", `"4294967295"`, change.JSON},
	{"tid", "'(1,2)'", `"(1,2)"`, change.JSON},
	{"pg_snapshot", "'10:20:10,14'", `"10:20:10,14"`, change.JSON},
	{"jsonpath", "'$.a[*]'", `"$.\"a\"[*]"`, change.JSON},
	{"regproc", "'pg_catalog.now'", `"now"`, change.JSON},
	{"regtype", "'public.pair'", `"public.pair"`, change.JSON},
	{"int4multirange", "'{[1,3),[5,9)}'", `"{[1,3),[5,9)}"`, change.JSON},
	{"nummultirange", "'{[1.10,3)}'", `"{[1.10,3)}"`, change.JSON},
	{"tstzmultirange", "'{[2026-01-31 07:00+07,)}'", `"{[\"2026-01-31 00:00:00+00\",)}"`, change.JSON},
	{"numrange", "'(,1.10]'", `"(,1.10]"`, change.JSON},
	{"tsrange", "'[2026-01-31 07:00,infinity)'", `"[\"2026-01-31 07:00:00\",infinity)"`, change.JSON},
	{"int[]", "'{{1,2},{3,null}}'", "[[1,2],[3,null]]", change.JSON},
	{"int[]", "'[5:6]={1,2}'", "[1,2]", change.JSON},
	{"text[]", "'{}'", "[]", change.JSON},
	{"bool[]", "'{t,null,f}'", "[true,null,false]", change.JSON},
	{"numeric[]", "'{1.10,NaN}'", `[1.10,"NaN"]`, change.JSON},
	{"float8[]", "'{NaN,Infinity,1e300}'", `["NaN","Infinity",1e+300]`, change.JSON},
	{"jsonb[]", `array['{"a":1}'::jsonb, null]`, `[{"a": 1},null]`, change.JSON},
	{"uuid[]", "'{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'", `["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]`, change.JSON},
	{"date[]", "'{2026-03-04,infinity}'", `["2026-03-04","infinity"]`, change.JSON},
	{"inet[]", "'{10.0.0.1/8,::1}'", `["10.0.0.1/8","::1"]`, change.JSON},
	{"tstzrange[]", "array['[2026-01-31 07:00+07,)'::tstzrange]", `["[\"2026-01-31 00:00:00+00\",)"]`, change.JSON},
	{"money[]", "'{1.5}'", `["$1.50"]`, change.JSON},
	{"point[]", "array['(0.1,2)'::point]", `["(0.1,2)"]`, change.JSON},
	{"int2vector", "'1 2'", "[1,2]", change.JSON},
	{"oidvector", "'1 2'", `["1","2"]`, change.JSON},
	{"public.pair[]", "array[row(0.5, '2026-11-23 07:00+07')::public.pair, null]",
		`[{"x":0.5,"at":"2026-11-23T00:00:00+00:00"},null]`, change.JSON},
	{"public.item", "row(1, 2.5, '2026-11-23 07:00+07', '{a,null}')",
		`{"pos":1,"price":2.50,"at":"2026-11-23T00:00:00+00:00","tags":["a",null]}`, change.JSON},
	{"public.items", "row(1, 2.5, null, null)", `{"pos":1,"price":2.50,"at":null,"tags":null}`, change.JSON},
	{"public.net", "1.5", "1.50", change.Numeric},
	{"public.flag", "true", "true", change.Bool},
	{"public.body", `'{"a": [1.0]}'`, `{"a": [1.0]}`, change.JSON},
	{"public.blob", `'\xff00'`, "ff00", change.Bytes},
	{"public.ratio", "0.1", "3fb999999999999a", change.Float},
	{"public.tags", "'{a,null}'", `["a",null]`, change.JSON},
	{"public.span", "'[2026-01-31,2026-02-03)'", `"[2026-01-31,2026-02-03)"`, change.JSON},
	{"public.address", "'10.0.0.1'", "10.0.0.1", change.Text},
	{"public.ci", "'MiXed'", "MiXed", change.Text},
	{"public.place", "'(0.1,2)'", `"(0.1,2)"`, change.JSON},
	{"public.late", "'2026-03-04 05:06:07'", `"2026-03-04T05:06:07"`, change.JSON},
	{"public.net[]", "'{1.5}'", "[1.50]", change.JSON},
	{"public.citext", "'MiXed'", "MiXed", change.Text},
	{"public.citext[]", "'{MiXed}'", `["MiXed"]`, change.JSON},
	{"public.hstore", `'a=>1, "b c"=>null'`, `{"a": "1", "b c": null}`, change.JSON},
	{"public.ltree", "'Top.Science'", `"Top.Science"`, change.JSON},
	{"public.isbn13", "'978-0-393-04002-9'", `"978-0-393-04002-9"`, change.JSON},
	{"public.cube", "'(0.1,2)'", `"(0.1, 2)"`, change.JSON},
	{"public.floats", "'[0.1,Infinity]'", `"[0.1,Infinity]"`, change.JSON},
	{"public.base", "'42'", `"42"`, change.JSON},
	{"public.base[]", "'{42}'", `["42"]`, change.JSON},
	{"public.cast_json", "'5'", `{"n" : 20}`, change.JSON},
}

// TestExoticTypes: each is captured as it is, whatever the client's session says.
func TestExoticTypes(t *testing.T) {
	t.Parallel()
	testTypes(t, typesDDL+evil+exoticDDL, exoticTypes)
}

// TestConversionRaises: somebody's cast that fails, by an assertion too, is a resync and the write goes on.
func TestConversionRaises(t *testing.T) {
	t.Parallel()
	b := installed(t, exoticDDL+`create table orders (id int primary key, x cast_json)`, want("orders", "x"))
	b.expect(`insert into orders values (1, '1')`, `i {"n" : 100},1`)
	b.expect(`update orders set x = '0'`, "r")
	b.expect(`update orders set x = '3'`, "r")
	b.expect(`update orders set x = '5'`, "r")
	b.expect(`update orders set x = '4'`, `u {"n" : 25},1 < {"n" : 20},1`)
	if got := b.one(`select x::text from orders`); got != "4" {
		t.Errorf("the row has %s, want 4", got)
	}
}

// TestTypesEvolve: what an enum or a domain gains or is renamed to is captured without a new version.
func TestTypesEvolve(t *testing.T) {
	t.Parallel()
	b := installed(t, typesDDL+`create table orders (id int primary key, mood mood, mail mail, pair pair)`,
		want("orders", "mood", "mail", "pair"))
	veteran := b.db.Connect(t)
	run1(t, veteran, `insert into orders values (1, 'fine', 'a@b', row(1, null))`)
	b.exec(`alter type mood add value 'new' before 'fine'; alter type mood rename value 'so so' to 'meh';
		alter type mood rename to feelings; alter domain mail add check (value <> ''); alter domain mail rename to post`)
	b.changes()
	run1(t, veteran, `update orders set mood = 'new'; update orders set mood = 'meh', mail = 'c@d'`)
	b.appended("enum and domain", `u new,a@b,{"x":1,"at":null},1 < fine,a@b,{"x":1,"at":null},1`,
		`u meh,c@d,{"x":1,"at":null},1 < new,a@b,{"x":1,"at":null},1`)
	b.exec(`alter type pair rename attribute x to y`)
	run1(t, veteran, `update orders set mail = 'e@f'`)
	b.appended("composite", `u meh,e@f,{"y":1,"at":null},1 < meh,c@d,{"y":1,"at":null},1`)
}

// TestIdentityAndGenerated: values that the server gives are captured as it gives them.
func TestIdentityAndGenerated(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id bigint generated always as identity primary key, price numeric not null,
		qty int default 2, total numeric generated always as (price * qty) stored, at date default '2026-01-02')`,
		want("orders", "total", "qty", "at"))
	b.expect(`insert into orders (price) values (1.5)`, `i 3.0,2,"2026-01-02",1`)
	b.expect(`update orders set price = 2`, `u 4,2,"2026-01-02",1 < 3.0,2,"2026-01-02",1`)
	b.expect(`update orders set qty = default, price = 2.0`, `u 4.0,2,"2026-01-02",1 < 4,2,"2026-01-02",1`)
}

// TestToasted: a large value that an update leaves alone is captured whole, and costs no event by itself.
func TestToasted(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int primary key, status text, doc text, pic bytea);
		alter table orders alter doc set storage external`, want("orders", "status", "doc", "pic"))
	doc, pic := strings.Repeat("ü", 200_000), strings.Repeat("ab", 100_000)
	b.expect(`insert into orders values (1, 'a', repeat('ü', 200000), decode(repeat('ab', 100000), 'hex'))`,
		"i a,"+doc+","+pic+",1")
	b.expect(`update orders set status = 'b'`, "u b,"+doc+","+pic+",1 < a,"+doc+","+pic+",1")
	b.expect(`update orders set doc = doc || '', id = id`)
	b.expect(`delete from orders`, "d < b,"+doc+","+pic+",1")
}
