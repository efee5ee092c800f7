package schema_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"nalar.internal/rowfeed/schema"
	"nalar.internal/rowfeed/test/rig"
)

const typesDDL = `create extension citext; create extension hstore; create type mood as enum ('so so', 'it''s "fine" \o/');
	create type pair as (x float8, at timestamptz, moods mood[]); create domain positive as int check (value > 0);
	create domain feeling as mood; create domain mail as text not null; create domain tags as text[]; create domain pairs as pair;
	create domain post as mail; create type floats as range (subtype = float8); create type nothing as enum ();`

// column is a column type and values of it in SQL: each is sent by a bridge and has to be of the type that is written.
var columns = []struct {
	typ    string
	values []string
}{
	{"smallint", []string{"-32768"}},
	{"integer", []string{"7"}},
	{"bigint", []string{"9007199254740993"}},
	{"oid", []string{"4294967295"}},
	{"numeric", []string{"12345678901234567890.123456789"}},
	{"numeric(14,2)", []string{"0.1"}},
	{"real", []string{"0.1", "'NaN'"}},
	{"float8", []string{"0.1::float8 + 0.2::float8", "'NaN'", "'-Infinity'", "'Infinity'", "1e300"}},
	{"boolean", []string{"true", "false"}},
	{"text", []string{`E'a\\b"c\'\n\u2028'`}},
	{"varchar(20)", []string{"'Jalan'"}},
	{"char(4)", []string{"'ab'"}},
	{`"char"`, []string{"'x'"}},
	{"name", []string{"'n'"}},
	{"uuid", []string{"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"}},
	{"citext", []string{"'MiXed'"}},
	{"mood", []string{"'so so'", `'it''s "fine" \o/'`}},
	{"nothing", nil},
	{"inet", []string{"'10.0.0.1/8'"}},
	{"macaddr", []string{"'08:00:2b:01:02:03'"}},
	{"pg_lsn", []string{"'16/B374D848'"}},
	{"xid8", []string{"'18446744073709551615'"}},
	{"json", []string{`'{"a": [1, null]}'`, "'null'", "'3'"}},
	{"jsonb", []string{`'[{"b": true}]'`, `'"text"'`}},
	{"bytea", []string{`'\x00ff10'`}},
	{"timestamptz", []string{"'2026-11-23 08:15:02.114+07'", "'infinity'"}},
	{"timestamp", []string{"'2026-03-04 05:06:07'"}},
	{"date", []string{"'2026-03-04'", "'-infinity'"}},
	{"time", []string{"'05:06:07.5'"}},
	{"timetz", []string{"'05:06:07+05:30'"}},
	{"interval", []string{"'1 day 2 hours'"}},
	{"money", []string{"1234.5::numeric::money"}},
	{"point", []string{"'(0.1,2)'"}},
	{"daterange", []string{"'[2026-01-31,2026-02-03)'"}},
	{"int4multirange", []string{"'{[1,3),[5,9)}'"}},
	{"floats", []string{"'[0.1,Infinity]'"}},
	{"xml", []string{"'<a/>'"}},
	{"bit varying(8)", []string{"b'101'"}},
	{"tsvector", []string{"$$'b':2 'a':1A$$"}},
	{"regclass", []string{"'pg_class'"}},
	{"hstore", []string{`'a=>1, "b c"=>null'`}},
	{"pair", []string{"row('NaN', '2026-11-23 07:00+07', '{so so}')", "row(0.5, null, null)"}},
	{"int[]", []string{"'{1,null,3}'", "'{}'"}},
	{"int[][]", []string{"'{{1,2},{3,null}}'"}},
	{"text[]", []string{`array['a"b', null]`}},
	{"bool[]", []string{"'{t,null}'"}},
	{"numeric[]", []string{"'{1.10}'"}},
	{"oid[]", []string{"'{1}'"}},
	{"float8[]", []string{"array[0.1, 'NaN', null]"}},
	{"jsonb[]", []string{`array['{"a":1}'::jsonb, null]`}},
	{"timestamptz[]", []string{"array['2026-11-23 08:15:02+07'::timestamptz]"}},
	{"mood[]", []string{"'{so so}'"}},
	{"feeling[]", []string{"'{so so,null}'"}},
	{"pair[]", []string{"array[row(0.5, '2026-11-23 07:00+07', null)::pair, null]"}},
	{"int2vector", []string{"'1 2'"}},
	{"oidvector", []string{"'1 2'"}},
	{"positive", []string{"7"}},
	{"feeling", []string{"'so so'"}},
	{"mail", []string{"'a@b'"}},
	{"post", []string{"'a@b'"}},
	{"tags", []string{"'{a,null}'"}},
	{"pairs", []string{"row(0.5, null, '{so so,null}')"}},
}

// table writes a table with a column of each type, and rows with each of their values, and with none.
func table() (ddl string, names []string, inserts []string) {
	ddl = "create table every (id int primary key"
	rows := 1
	for i, c := range columns {
		names = append(names, fmt.Sprintf("c%02d", i))
		ddl += fmt.Sprintf(", %s %s", names[i], c.typ)
		rows = max(rows, len(c.values))
	}
	ddl += ");"
	for n := range rows + 1 {
		row := fmt.Sprint(n)
		for _, c := range columns {
			value := "null"
			if n < len(c.values) {
				value = c.values[n]
			} else if c.typ == "mail" || c.typ == "post" { // not null
				value = c.values[0]
			}
			row += ", " + value
		}
		inserts = append(inserts, "insert into every values ("+row+")")
	}
	return ddl, names, inserts
}

// TestValues sends a value of every type through a bridge. The events are written as TypeScript that only compiles where
// the types are true of them; the client's tests compile it, and validate them by the AsyncAPI document.
func TestValues(t *testing.T) {
	t.Parallel()
	ddl, names, inserts := table()
	list := strings.Join(names, ", ")
	ddl += `create table strict (day date, no text, pos bigint, mood mood not null, ratio float8 not null,
			flags boolean[] not null, note text, primary key (day, no, pos));
		create table "odd "" names*/" ("class" int primary key, "user-name" text, "it's \ odd" int, "*/" text, "__proto__" text);`
	r := rig.New(t, typesDDL+ddl, `  values:
    class: lossless
    rules:
      - {table: every, event: plain, resource: every, audience: ["role:all"], columns: [id, `+list+`]}
      - {table: every, event: quoted, resource: every, audience: ["role:all"], columns: [id, `+list+`], strings: [id, `+list+`]}
      - {table: strict, event: strict, resource: strict, audience: ["role:all"], columns: [day, no, pos, mood, ratio, flags, note],
         strings: [pos], data: {document: no, feels: mood, again: mood, ratio: ratio, flags: flags, note: note}, message: "{note}", link: "/{no}"}
  odd-names:
    class: latest
    rules:
      - {table: '"odd "" names*/"', event: odd-one, resource: 7.odd~names, audience: ["role:all"],
         columns: [class, user-name, "it's \\ odd", "*/", __proto__]}
`)
	c := r.Full(t, rig.User(1, "all"))
	for _, channel := range []string{"values", "odd-names"} {
		if f := c.Ask(`{"type":"subscribe","ref":%q,"channel":%[1]q}`, channel); f["type"] != "subscribed" {
			t.Fatalf("want subscribed, got %v", f)
		}
	}
	for _, sql := range inserts {
		r.Exec(t, sql)
	}
	r.Exec(t, `insert into strict values ('2026-03-04', 'A/1', 9007199254740993, 'so so', 'NaN', '{t,null}', null)`)
	r.Exec(t, `update strict set note = 'x', ratio = 0.5`)
	r.Exec(t, `update strict set no = 'B'`)
	r.Exec(t, `delete from strict`)
	r.Exec(t, `insert into "odd "" names*/" values (1, 'a', 2, 'c', 'd')`)

	var text strings.Builder
	text.WriteString("// Written by the tests of package schema: what a bridge has sent. It compiles where the types are true.\n" +
		"import type { Named, Schema as AnySchema } from 'rowfeed'\nimport type { Schema } from './rowfeed.js'\n\n" +
		"type Sent<N> = Named<Schema extends AnySchema ? Schema : never, N>\n\nexport const events = [\n")
	// Channels come on connections of their own, so theirs to each other has no order.
	found := map[string][]string{}
	for range 2*len(inserts) + 5 + 1 {
		raw := neutral(event(c))
		var e struct{ Type string }
		if err := json.Unmarshal([]byte(raw), &e); err != nil {
			t.Fatal(err)
		}
		found[e.Type] = append(found[e.Type], fmt.Sprintf("  %s satisfies Sent<'%s'>,\n", raw, e.Type))
	}
	for _, name := range []string{"plain", "quoted", "strict", "odd-one"} {
		text.WriteString(strings.Join(found[name], ""))
	}
	text.WriteString("]\n")
	golden(t, "every/events.ts", text.String())

	s, err := schema.Read(t.Context(), r.Conn(t), r.Config)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "every/rowfeed.d.ts", s.TypeScript())
	r.Config.Server.Listen = "127.0.0.1:8080"
	document, err := s.AsyncAPI(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "every/asyncapi.yaml", document)
}

var (
	envelope = regexp.MustCompile(`"id":"[^"]*"(.*?)"at":"[^"]*","txid":"[^"]*"`)
	cursor   = regexp.MustCompile(`,"cursor":"[^"]*"}$`)
)

// event is the text of the next event.
func event(c *rig.Client) []byte {
	for {
		if frame := c.Raw(); envelope.Match(frame) { // else it is a heartbeat
			return frame
		}
	}
}

// neutral is a frame without what differs from run to run.
func neutral(frame []byte) string {
	text := cursor.ReplaceAllString(string(frame), "}")
	at := envelope.FindStringSubmatchIndex(text)
	return text[:at[0]] + `"id":"1"` + text[at[2]:at[3]] + `"at":"2026-11-23T08:15:02.114Z","txid":"1"` + text[at[1]:]
}
