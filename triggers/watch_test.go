package triggers

import (
	"fmt"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// watching looks at the one table of a bundle as a node does, and notes what it sees.
type watching struct {
	*bundle
	w *Watcher
}

func watch(t *testing.T, b *bundle) *watching {
	t.Helper()
	w, err := NewWatcher(b.target)
	if err != nil {
		t.Fatal(err)
	}
	return &watching{b, w}
}

// look notes what is seen and returns the table's state and whether it was told.
func (w *watching) look() (s *Sight, told bool) {
	w.t.Helper()
	s, err := w.w.Look(w.t.Context(), w.conn)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, table := range s.Tables {
		one, _, err := s.Note(w.t.Context(), w.conn, w.target.Schema, table, false)
		if err != nil {
			w.t.Fatal(err)
		}
		told = told || one
	}
	return s, told
}

// sees wants a look to find the state, and to tell of it or not.
func (w *watching) sees(what, state string, told bool) {
	w.t.Helper()
	s, did := w.look()
	if s.Tables[0].State != state || did != told {
		w.t.Errorf("%s: %s told %t, want %s told %t: %v", what, s.Tables[0].State, did, state, told, s.Tables[0].Problems)
	}
}

const watchedDDL = `create table orders (id int primary key, status text, note text); insert into orders values (1, 'a', 'b')`

// TestWatch: whatever may have left a gap is told once when it is found and once when it is mended, also where it was mended
// before anybody looked; and what concerns no capture is not.
func TestWatch(t *testing.T) {
	t.Parallel()
	const row, back = `"00_SCHEMA"`, "UP"
	for name, c := range map[string]struct {
		do, state string
		told      bool // when it is found
		undo      string
		again     bool // told when it is mended
	}{
		"column added":         {`alter table orders add column more int not null default 7`, Installed, false, back, false},
		"other column dropped": {`alter table orders drop column note`, Installed, false, back, false},
		"vacuum full":          {`vacuum full orders`, Installed, false, back, false},
		"index":                {`create index on orders (status); analyze orders`, Installed, false, back, false},
		"column renamed":       {`alter table orders rename status to state`, Broken, true, `alter table orders rename state to status`, true},
		"column dropped":       {`alter table orders drop column status`, Broken, true, `alter table orders add column status text; UP`, true},
		"column retyped":       {`alter table orders alter status type varchar(9)`, Outdated, true, back, true},
		"values rewritten":     {`alter table orders alter status type text using upper(status)`, Installed, true, back, false},
		"column anew":          {`alter table orders drop column status; alter table orders add column status text`, Installed, true, back, false},
		"table dropped":        {`drop table orders`, Broken, true, watchedDDL + "; UP", true},
		"table anew":           {`drop table orders; ` + watchedDDL, Missing, true, back, true},
		"table anew and up":    {`drop table orders; ` + watchedDDL + "; UP", Installed, true, back, false},
		"swapped":              {swapSQL, Missing, true, back, true},
		"other schema":         {`create schema s; alter table orders set schema s`, Broken, true, `alter table s.orders set schema public`, true},
		"disabled":             {`alter table orders disable trigger ` + row, Disabled, true, `alter table orders enable always trigger ` + row, true},
		"for a moment": {`alter table orders disable trigger ` + row + `; alter table orders enable always trigger ` + row, Installed,
			true, back, false},
		"trigger dropped":  {`drop trigger ` + row + ` on orders`, Missing, true, back, true},
		"function by hand": {`create or replace function "SCHEMA".` + functionName("public", "orders") + `() returns trigger language plpgsql as 'begin return null;end'`, Outdated, true, back, true},
		"function's owner": {`alter function "SCHEMA".` + functionName("public", "orders") + `() owner to current_user`, Outdated, true, back, true},
		"other key": {`alter table orders drop constraint orders_pkey; alter table orders add primary key (id, status)`, Outdated, true,
			`alter table orders drop constraint orders_pkey; alter table orders add primary key (id); UP`, true},
		"no key": {`alter table orders drop constraint orders_pkey`, Broken, true, `alter table orders add primary key (id)`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := installed(t, watchedDDL, want("orders", "status"))
			w := watch(t, b)
			w.sees("at first", Installed, false)
			w.sees("nothing new", Installed, false)
			w.script(c.do)
			w.sees("found", c.state, c.told)
			w.sees("nothing new", c.state, false)
			watch(t, b).sees("another node", c.state, false)
			w.script(c.undo)
			w.sees("mended", Installed, c.again)
			w.sees("nothing new", Installed, false)
		})
	}
}

const swapSQL = `create table orders_new (like orders including all); insert into orders_new select * from orders; ` +
	`begin; alter table orders rename to orders_old; alter table orders_new rename to orders; commit`

// script runs statements one by one; UP is migrate up.
func (w *watching) script(sql string) {
	w.t.Helper()
	for part := range strings.SplitSeq(sql, "; ") {
		if part = strings.TrimSpace(part); part == "UP" {
			w.up()
		} else {
			w.exec(strings.ReplaceAll(part, "SCHEMA", w.target.Schema))
		}
	}
}

// TestNote: a note tells every channel of the table by a change that needs no capture, and what was seen earlier tells
// nothing any more.
func TestNote(t *testing.T) {
	t.Parallel()
	b := installed(t, watchedDDL, want("orders", "status"), change.Want{Table: "orders", Channel: "other", Columns: []string{"note"}, Wake: "auto"})
	w := watch(t, b)
	before, _ := w.look()
	w.appended("at first")
	b.exec(`select pg_current_xact_id(); alter table orders disable trigger user`)
	w.sees("disabled", Disabled, true)
	w.appended("found", "orders r", "other r")
	if told, _, err := before.Note(t.Context(), b.conn, b.target.Schema, before.Tables[0], false); err != nil || told {
		t.Errorf("what was seen earlier is told: %t %v", told, err)
	}
	if told, _, err := before.Note(t.Context(), b.conn, b.target.Schema, before.Tables[0], true); err != nil || !told {
		t.Errorf("once more is not told: %t %v", told, err)
	}
	w.appended("once more", "orders r", "other r")
	// As a dump brings it into a younger server.
	b.exec(`update ` + ident(b.target.Schema, "drift") + ` set seen = '4000000000:4000000000:'`)
	b.up()
	w.sees("of another history", Installed, true)
	b.exec(`delete from ` + ident(b.target.Schema, "capture"))
	b.exec(`update ` + ident(b.target.Schema, "drift") + ` set thread = ''`)
	w.changes()
	w.sees("without a decoder", Installed, true)
	w.appended("without a decoder")
}

// TestLookWithoutRights: a look that can't see what it has to says so.
func TestLookWithoutRights(t *testing.T) {
	t.Parallel()
	b := installed(t, watchedDDL, want("orders", "status"))
	stranger, role := b.login("")
	w := watch(t, b)
	if _, err := w.w.Look(t.Context(), stranger); err != nil {
		t.Fatal(err) // the catalog is anybody's
	}
	s, err := w.w.Look(t.Context(), b.conn)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Note(t.Context(), stranger, b.target.Schema, s.Tables[0], false)
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%s may note: %v", role, err)
	}
}

// TestLookGrowsWithTables: four times the tables cost a look about four times as much, each of them with partitions; so
// many that it could be sixteen times do not make it one that never ends.
func TestLookGrowsWithTables(t *testing.T) {
	t.Parallel()
	const few, many = 30, 120
	var ddl strings.Builder
	var wants []change.Want
	for i := range many {
		fmt.Fprintf(&ddl, `create table t%[1]d (id int primary key, a int) partition by range (id);
			create table t%[1]d_1 partition of t%[1]d for values from (0) to (10);`, i)
		wants = append(wants, want(fmt.Sprint("t", i), "a"))
	}
	b := installed(t, ddl.String(), wants...)
	b.exec("analyze pg_catalog.pg_class, pg_catalog.pg_attribute, pg_catalog.pg_index, pg_catalog.pg_inherits, pg_catalog.pg_trigger")
	pages := func(tables int) int {
		target := b.target
		target.Wants = wants[:tables]
		w, err := NewWatcher(target)
		if err != nil {
			t.Fatal(err)
		}
		var plan []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		err = b.conn.QueryRow(t.Context(), "explain (analyze, buffers, format json) "+query("watch"), w.parameters()...).Scan(&plan)
		if err != nil {
			t.Fatal(err)
		}
		return plan[0].Plan.Hit + plan[0].Plan.Read
	}
	if a, z := pages(few), pages(many); z > 6*a {
		t.Errorf("a look at %d tables reads %d pages, one at %d tables %d", few, a, many, z)
	}
}
