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

// TestFunctionsInStatements: a function that a statement calls changes rows which the statement itself has changed, before
// that is captured. Client statements in sequence, a function's own included, overtake nothing.
func TestFunctionsInStatements(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int primary key, status text);
		create function approve(i int) returns int language plpgsql as $$ begin
			update orders set status = 'approved' where id = i; return i; end $$;
		create function refuse(i int) returns int language sql as $$ delete from orders where id = i returning id $$;
		create procedure twice(i int) language plpgsql as $$ begin insert into orders values (i, 'a'); perform approve(i);
			perform from orders where id = i for update; update orders set status = 'b' where id = i; end $$;`, want("orders", "status"))
	b.expect(`with made as (insert into orders values (1, 'draft') returning id) select approve(id) from made`,
		"u approved,1 < draft,1", "r")
	b.expect(`insert into orders values (2, 'draft') returning approve(id)`, "u approved,2 < draft,2", "r")
	b.expect(`begin; savepoint s; update orders set status = 'x' where id = 2 returning approve(id); release s; commit`,
		"u approved,2 < x,2", "r")
	b.expect(`insert into orders values (4, 'draft') returning refuse(id)`, "d < draft,4", "r")
	b.expect(`begin; insert into orders values (5, 'a'); select approve(5); select from orders where id = 5 for update;
		update orders set status = 'b' where id = 5; select refuse(5); commit`,
		"i a,5", "u approved,5 < a,5", "u b,5 < approved,5", "d < b,5")
	b.expect(`call twice(6)`, "i a,6", "u approved,6 < a,6", "u b,6 < approved,6")
}

// TestInsertedAgain: a trigger takes the key of a row whose delete by the outer statement is yet to be captured. Deletes that
// are not behind an insert come out as they are.
func TestInsertedAgain(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table head (id int primary key, n int default 0);
		create table lines (id int primary key, doc int references head on delete cascade);
		insert into head values (1), (2), (3); insert into lines select i, i % 3 + 1 from generate_series(1, 6) i;
		create function keep() returns trigger language plpgsql as $$ begin
			if old.id = 3 then insert into lines values (6, 2); end if; return null; end $$;
		create function anew() returns trigger language plpgsql as $$ begin
			delete from lines where doc = new.id; insert into lines values (10 * new.n + new.id, new.id); return null; end $$;
		create trigger "!first" after delete on lines for each row when (old.doc = 1) execute function keep();
		create trigger zz after delete on head for each row when (old.id = 3) execute function keep();
		create trigger z after update on head for each row execute function anew();`, want("head", "n"), want("lines", "doc"))
	b.expect(`delete from lines where id in (3, 6)`, "i 2,6", "r", "r")
	b.expect(`delete from lines where id = 6`, "d < 2,6")
	b.expect(`delete from head where id = 3`, "d < 0,3", "i 2,6", "r", "r") // a cascade's are captured last
	b.expect(`update head set n = 1`, "u 1,1 < 0,1", "i 1,11", "u 1,2 < 0,2", "d < 2,1", "d < 2,4", "d < 2,6", "i 2,12")
	b.exec(`begin; update head set n = 2 where id = 1`)
	b.exec(`delete from lines where doc = 2`)
	b.expect(`commit`, "u 2,1 < 1,1", "d < 1,11", "i 1,21", "d < 2,12")
}
