package triggers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestNestedChanges: statements in triggers of the ERP change rows of the statement that fired them. What is captured in
// order comes out as it is; where the older change would come after the newer one, it is a resync instead.
func TestNestedChanges(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table lines (id int primary key, doc int, n int default 0, note text);
		create function siblings() returns trigger language plpgsql as $$ begin
			update lines set n = n + 1 where doc = new.doc and id <> new.id; return null; end $$;
		create function itself() returns trigger language plpgsql as $$ begin
			update lines set n = n + 1 where id = new.id; return null; end $$;
		create function noted() returns trigger language plpgsql as $$ begin
			update lines set note = 'x' where doc = new.doc and id <> new.id; return null; end $$;
		create function removes() returns trigger language plpgsql as $$ begin
			begin delete from lines where doc = new.doc and id > new.id; exception when unique_violation then null; end;
			return null; end $$;`, want("lines", "n"))
	each := func(function string) {
		t.Helper()
		b.exec(`drop trigger if exists z on lines; truncate lines; create trigger z after insert or update of doc on lines
			for each row execute function ` + function + `()`)
		b.changes()
	}
	each("itself")
	b.expect(`insert into lines values (1, 1), (2, 1)`, "i 0,1", "u 1,1 < 0,1", "i 0,2", "u 1,2 < 0,2")
	b.expect(`update lines set doc = 2, n = 5`, "u 5,1 < 1,1", "u 6,1 < 5,1", "u 5,2 < 1,2", "u 6,2 < 5,2")
	b.expect(`begin; select from lines for update; update lines set doc = 3, n = 7; update lines set n = 8; commit`,
		"u 7,1 < 6,1", "u 8,1 < 7,1", "u 7,2 < 6,2", "u 8,2 < 7,2")
	b.expect(`insert into lines values (1, 1) on conflict (id) do update set n = 9`, "u 9,1 < 8,1")

	each("siblings")
	b.expect(`insert into lines values (1, 1)`, "i 0,1")
	b.expect(`insert into lines values (2, 1)`, "i 0,2", "u 1,1 < 0,1")
	b.expect(`insert into lines values (3, 9), (4, 9)`, "i 0,3", "u 1,4 < 0,4", "r", "u 1,3 < 0,3")
	b.expect(`begin; savepoint s; update lines set doc = 8, n = 10 where doc = 9; release s; commit`,
		"u 10,4 < 1,4", "u 11,3 < 10,3", "r", "u 11,4 < 10,4") // as they lie in the table

	each("noted") // what nobody watches overtakes nothing
	b.expect(`insert into lines values (1, 1), (2, 1)`, "i 0,1", "r")
	b.expect(`update lines set doc = 2`)

	each("removes")
	b.expect(`insert into lines values (1, 1), (2, 1)`, "i 0,1", "d < 0,2", "r")
	if got := b.one(`select string_agg(id::text, ',') from lines`); got != "1" {
		t.Errorf("rows %s, want 1", got)
	}
}

// TestNestedInBulk: past what is noted, a change that may have been overtaken is a resync; one that can't have been is not.
func TestNestedInBulk(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table lines (id int primary key, n int default 0);
		create function following() returns trigger language plpgsql as $$ begin
			update lines set n = n + 1 where id = new.id + 1000; return null; end $$;
		create trigger z after insert on lines for each row execute function following();`, want("lines", "n"))
	b.exec(`insert into lines select i from generate_series(1, 2000) i`)
	got := b.changes()
	for id := range 2000 {
		last := ""
		for _, c := range got {
			if strings.HasSuffix(c, fmt.Sprintf(",%d", id+1)) {
				last = c
			}
		}
		if want := fmt.Sprintf("u 1,%d < 0,%[1]d", id+1); id >= 1000 && last != want || id < 1000 && last != fmt.Sprintf("i 0,%d", id+1) {
			t.Fatalf("the last of row %d is %q, want %q", id+1, last, want)
		}
	}
	resyncs := len(slices.DeleteFunc(got, func(c string) bool { return c != "r" }))
	if resyncs != 1000 {
		t.Errorf("%d resyncs, want one for each row that was overtaken", resyncs)
	}
}
