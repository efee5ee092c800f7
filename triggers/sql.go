package triggers

import (
	"embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/*.sql
var files embed.FS

// templates are those of sql/*.sql that make SQL; the inspect queries are read as they are.
var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"ident":   ident,
	"literal": literal,
	"comment": oneLineOf,
}).ParseFS(files, "sql/schema.sql", "sql/epoch.sql", "sql/writable.sql", "sql/proven.sql", "sql/rings.sql",
	"sql/open_until.sql", "sql/slot_end.sql", "sql/keep_open.sql", "sql/tick.sql", "sql/rotate.sql", "sql/capture.sql", "sql/drift.sql",
	"sql/note.sql", "sql/operator.sql", "sql/guard_table.sql", "sql/ask.sql", "sql/requested.sql", "sql/answer.sql",
	"sql/answers.sql"))

// query returns an embedded file that needs no filling in.
func query(name string) string {
	b, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err) // the files are compiled in
	}
	return string(b)
}

// render fills in a template.
func render(name string, data any) string {
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, name+".sql", data); err != nil {
		panic(err) // the templates are compiled in, and get the types that they were written for
	}
	return b.String()
}

// ident quotes a name, or a qualified one.
func ident(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// literal quotes a string for any setting of standard_conforming_strings.
func literal(s string) string {
	quoted := "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + quoted
	}
	return quoted
}

// literals writes a list as an SQL array of the given type.
func literals[T any](list []T, typ string) string {
	out := make([]string, len(list))
	for i, v := range list {
		switch v := any(v).(type) {
		case string:
			out[i] = literal(v)
		default:
			out[i] = fmt.Sprint(v)
		}
	}
	return "array[" + strings.Join(out, ", ") + "]::" + typ + "[]"
}

// dollar quotes a function's body with a tag that does not occur in it.
func dollar(body string) string {
	tag := "$rowfeed$"
	for i := 1; strings.Contains(body, tag); i++ {
		tag = fmt.Sprintf("$rowfeed%d$", i)
	}
	return tag + body + tag
}

// common is what all templates know.
type common struct {
	Schema, Owner string
	Version, Slot int // Slot in seconds
}

func (t *Target) common() common {
	return common{Schema: t.Schema, Owner: t.owner(), Version: version, Slot: t.slotSeconds()}
}

// S is the quoted schema.
func (c common) S() string { return ident(c.Schema) }

// Piece is how many rows of another history a tick deletes of a slot.
func (c common) Piece() int { return 100_000 }

// Slots are the numbers of the ring's tables.
func (c common) Slots() []int { return []int{0, 1, 2} }

// Outbox is the qualified name of a table of the ring, as a literal.
func (c common) Outbox(slot int) string {
	return literal(ident(c.Schema, fmt.Sprintf("change_%d", slot)))
}

// SlotAt is the expression of the slot at a time.
func (c common) SlotAt(at string) string {
	return fmt.Sprintf("pg_catalog.floor(pg_catalog.date_part('epoch', %s) operator(pg_catalog./) %d)::pg_catalog.int8 "+
		"operator(pg_catalog.%%) %d", at, c.Slot, slots)
}

// TurnAt is the expression of how far a time is into the ring's turn: SlotAt by two functions, for what each row pays.
func (c common) TurnAt(at string) string {
	return fmt.Sprintf("%[1]s operator(pg_catalog.-) pg_catalog.date_bin(%[2]s, %[1]s, '1970-01-01 00:00:00+00'::pg_catalog.timestamptz)",
		at, c.Seconds(slots))
}

// Seconds is the interval of so many slots.
func (c common) Seconds(slots int) string {
	return fmt.Sprintf("'%d seconds'::pg_catalog.\"interval\"", slots*c.Slot)
}

// SlotNow is the expression of the current slot.
func (c common) SlotNow() string { return c.SlotAt("pg_catalog.clock_timestamp()") }

// Sequence is the qualified name of the sequence that says until when captures append, as a literal.
func (c common) Sequence() string { return literal(ident(c.Schema, "open_until")) }

// SlotEnd is the expression of until when a plan of a capture may append to a slot.
func (c common) SlotEnd(slot int) string {
	tables := make([]string, slots)
	for i := range tables {
		tables[i] = c.Outbox(i) + "::pg_catalog.regclass"
	}
	return fmt.Sprintf("%s.slot_end(%d, %s::pg_catalog.regclass, %s)", c.S(), slot, c.Sequence(), strings.Join(tables, ", "))
}

// Due is the expression of until when captures append if nobody extends that, in seconds of the Unix epoch: with openSlots
// each table of the ring is written to in two turns at most before it is emptied.
func (c common) Due() string {
	return fmt.Sprintf("(pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) operator(pg_catalog./) %[1]d)"+
		"::pg_catalog.int8 operator(pg_catalog.+) %[2]d) operator(pg_catalog.*) %[1]d", c.Slot, openSlots)
}

// function is one of rowfeed's functions as it should be.
type function struct {
	name, returns string
	settings      []setting
	body          string
	immutable     bool // says that a plan may hold its answer
}

// setting is a SET clause: value is SQL, stored is what pg_proc.proconfig keeps of it.
type setting struct{ name, value, stored string }

// create is the statement that makes or replaces the function. It takes no lock on any table.
func (f *function) create(schema string) string {
	var b strings.Builder
	name := signature(schema, f.name)
	fmt.Fprintf(&b, "create or replace function %s returns %s\n  language plpgsql security definer", name, f.returns)
	if f.immutable {
		b.WriteString(" immutable")
	}
	for _, s := range f.settings {
		fmt.Fprintf(&b, " set %s = %s", s.name, s.value)
	}
	fmt.Fprintf(&b, " as %s;\nrevoke all on function %s from public;\n", dollar("\n"+f.body), name)
	return b.String()
}

// config is what pg_proc.proconfig holds of the settings.
func (f *function) config() []string {
	out := []string{}
	for _, s := range f.settings {
		out = append(out, s.name+"="+s.stored)
	}
	return out
}

// helperNames are the functions that a bridge or a capture calls.
var helperNames = []string{"epoch", "writable", "proven", "rings", "open_until", "slot_end", "keep_open", "tick", "rotate", "ask",
	"requested", "answer", "answers", "note"}

// helpers are those functions, each after what it calls.
func (t *Target) helpers() []*function {
	return append([]*function{
		{name: "epoch", returns: "text", body: render("epoch", t.common())},
		{name: "writable", returns: "boolean", body: render("writable", t.common()), immutable: true,
			settings: []setting{searchPath}},
		{name: "proven", returns: "boolean", body: render("proven", t.common())},
		{name: "rings", returns: "boolean", body: render("rings", t.common()), immutable: true,
			settings: []setting{searchPath}},
		{name: "open_until", returns: "timestamptz", body: render("open_until", t.common()), immutable: true,
			settings: []setting{searchPath}},
		{name: "slot_end", returns: "timestamptz", body: render("slot_end", t.common()), immutable: true,
			settings: []setting{searchPath}},
		{name: "keep_open", returns: "table (remaining double precision, stopped_at timestamptz)", body: render("keep_open", t.common()),
			settings: []setting{searchPath, {"lock_timeout", "'50ms'", "50ms"}}},
		{name: "tick", returns: "void", body: render("tick", t.common())},
		{name: "rotate", returns: "boolean", body: render("rotate", t.common()),
			settings: []setting{{"lock_timeout", "'50ms'", "50ms"}}},
		t.noteFunction(),
	}, t.requestFunctions()...)
}
