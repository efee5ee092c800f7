package triggers

import (
	"fmt"
	"strings"
	"testing"
)

// hardNames are what a column, table or schema may be called.
var hardNames = []string{
	"v_op", "v_old", "v_new", "v_at", "v_slot", "v_any", "new", "old", "NEW", "OLD", "tg_op", "TG_OP", "found", "xid", "lsn", "at", "capture",
	"channel", "depth", "op", "sqlstate", "null", "select", "user", "order", "end", "current_user", "array", "row", "values", "row_count",
	"mixedCase", "with space", " ", "dot.ted", `quo"te`, `"`, "apo'strophe", `back\slash`, `E'\`, "100%", "%s %I", "$1", "$$", "$rowfeed$",
	"{{.ID}}", "-- x", "/* x", ";", "new.id", "tab\t", "line\nbreak", "größe", "価格", "😀", strings.Repeat("x", 63),
	strings.Repeat("é", 31) + "y", "1st", "_", "a,b", "{a}", "public", "pg_catalog", "rowfeed",
}

// TestNamesOfColumns: a table that has them all, in one statement.
func TestNamesOfColumns(t *testing.T) {
	t.Parallel()
	var ddl, texts []string
	for i, name := range hardNames {
		ddl = append(ddl, ident(name)+fmt.Sprintf(" text default '%d'", i))
		texts = append(texts, fmt.Sprint(i))
	}
	b := installed(t, `create table orders (id int primary key, `+strings.Join(ddl, ", ")+`)`, want("orders", hardNames...))
	all := strings.Join(texts, ",")
	b.expect(`insert into orders (id) values (1)`, "i "+all+",1")
	b.expect(`set plpgsql.variable_conflict = use_column; update orders set id = 2`, "u "+all+",2 < "+all+",1")
	b.expect(`discard plans; set plpgsql.variable_conflict = use_variable; delete from orders`, "d "+"< "+all+",2")
	if lines := b.up(); len(lines) > 0 {
		t.Errorf("second up did %q", lines)
	}
}

// TestNamesOfTables: schema, table and key of the same name, watched and then not.
func TestNamesOfTables(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	var names []string
	for _, name := range hardNames {
		if name == "public" || name == "pg_catalog" { // schemas that are there, or that nobody can make
			continue
		}
		q := ident(name)
		b.exec(`create schema ` + q + `; create table ` + q + `.` + q + ` (` + q + ` int primary key)`)
		quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		b.target.Wants = append(b.target.Wants, want(quoted+"."+quoted, name))
		names = append(names, q+"."+q)
	}
	b.up()
	for i, name := range names {
		b.expect(`insert into `+name+` values (`+fmt.Sprint(i)+`); truncate `+name, fmt.Sprintf("i %d", i), "t")
	}
	if got := b.inspect(); !got.Clean() || len(got.Plan()) > 0 {
		t.Errorf("status %+v", got.Status())
	}
	b.down()
	if got := b.one(`select count(*)::text from pg_trigger where not tgisinternal`); got != "0" {
		t.Errorf("%s triggers are left", got)
	}
}
