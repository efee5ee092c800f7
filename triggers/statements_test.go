package triggers

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestForeignKeys: what a foreign key does to other rows is captured as the writes that they are.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table buyer (id int primary key, name text);
		create table a_null (id int primary key, buyer int references buyer on delete set null on update cascade);
		create table b_default (id int primary key, buyer int default 0 references buyer on delete set default);
		create table c_gone (id int primary key, buyer int references buyer on delete cascade deferrable initially deferred);
		insert into buyer values (0, 'nobody'), (1, 'x'), (2, 'y');
		insert into a_null values (1, 1); insert into b_default values (1, 2); insert into c_gone values (1, 2);`,
		want("buyer", "name"), want("a_null", "buyer"), want("b_default", "buyer"), want("c_gone", "buyer"))
	b.expect(`update buyer set id = 5 where id = 1`, "u x,5 < x,1", "u 5,1 < 1,1")
	b.expect(`delete from buyer where id = 5`, "d < x,5", "u NULL,1 < 5,1")
	b.expect(`delete from buyer where id = 2`, "d < y,2", "u 0,1 < 2,1", "d < 2,1")
	_, err := b.conn.Exec(t.Context(), `insert into a_null values (2, 77)`)
	if sqlState(err) != "23503" {
		t.Errorf("insert without the parent: %v, want a violation", err)
	}
	b.exec(`begin; insert into c_gone values (3, 88)`)
	if _, err := b.conn.Exec(t.Context(), `commit`); sqlState(err) != "23503" {
		t.Errorf("commit with a deferred violation: %v", err)
	}
	b.appended("what was rolled back")
	b.expect(`begin; insert into c_gone values (4, 9); insert into buyer values (9, 'z'); commit`, "i 9,4", "i z,9")
	b.expect(`truncate buyer cascade`, "t", "t", "t", "t")
	b.expect(`insert into buyer values (1, 'x'); insert into a_null values (1, 1); truncate a_null, c_gone`, "i x,1", "i 1,1", "t", "t")
}

// TestMerge in all its branches, with RETURNING where there is one.
func TestMerge(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL+`insert into orders values (1, 'a'), (2, 'b'), (3, 'c')`, want("orders", "status"))
	number := b.inspect().server.number
	if number < 150000 {
		if _, err := b.conn.Exec(t.Context(), `merge into orders using orders o on false when matched then do nothing`); sqlState(err) != "42601" {
			t.Errorf("merge before 15: %v", err)
		}
		return
	}
	merge := `merge into orders o using (values (1, 'x'), (2, null), (3, 'c'), (4, 'd')) v (id, status) on v.id = o.id
		when matched and v.status is null then delete
		when matched and v.status = o.status then do nothing
		when matched then update set status = v.status
		when not matched then insert values (v.id, v.status)`
	b.expect(merge, "u x,1 < a,1", "d < b,2", "i d,4")
	if number >= 170000 {
		got := b.one(`with m as (` + strings.Replace(merge, "'x'", "'y'", 1) + ` returning merge_action(), o.id)
			select string_agg(merge_action || id, ',' order by id) from m`)
		if got != "UPDATE1,INSERT2" {
			t.Errorf("merge returned %s", got)
		}
		b.appended("merge returning", "u y,1 < x,1", "i NULL,2")
	}
}

// TestWritesByOtherWays: whatever form a write has, each row that it changes comes out once, in order.
func TestWritesByOtherWays(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL+`create view open as select id, status from orders where status <> 'closed' with check option;
		create view ruled as select id, status from orders; create rule r as on update to ruled do instead
			update orders set status = new.status || '!' where id = old.id;
		create view instead as select id, status from orders; create function put() returns trigger language plpgsql as
			$$ begin update orders set status = new.status || '?' where id = old.id; return new; end $$;
		create trigger t instead of update on instead for each row execute function put();
		create table source (id int, status text); insert into source values (1, 's1'), (2, 's2');
		create function secure(i int) returns void language sql security definer set search_path = public as
			$$ update orders set status = 'secure' where id = i $$;`, want("orders", "status"))
	b.expect(`insert into open values (1, 'a'), (2, 'b'); update open set status = 'c' where id = 1`,
		"i a,1", "i b,2", "u c,1 < a,1")
	b.expect(`update ruled set status = 'd' where id = 1; update instead set status = 'e' where id = 1`,
		"u d!,1 < c,1", "u e?,1 < d!,1")
	b.expect(`update orders set status = s.status from source s where s.id = orders.id`, "u s1,1 < e?,1", "u s2,2 < b,2")
	b.expect(`with gone as (delete from orders where id = 2 returning *), made as (insert into orders (id, status)
		select id + 10, status from gone returning id) update orders set status = 'f' where id = 1`,
		"u f,1 < s1,1", "d < s2,2", "i s2,12") // the order in which PostgreSQL does the parts
	b.expect(`begin; declare c cursor for select * from orders where id = 1 for update; fetch c;
		update orders set status = 'g' where current of c; delete from orders where current of c; commit`, "u g,1 < f,1", "d < g,1")
	b.expect(`select secure(12)`, "u secure,12 < s2,12")
	b.expect(`prepare p (text) as update orders set status = $1; execute p('h'); execute p('i'); deallocate p`,
		"u h,12 < secure,12", "u i,12 < h,12")
	b.expect(`do $$ declare r record; begin for r in select * from orders loop delete from orders where id = r.id; end loop; end $$`, "d < i,12")
	b.expect(`insert into orders (id, status) values (1, 'a') on conflict do nothing; insert into orders (id, status)
		values (1, 'a') on conflict (id) do update set status = 'x' where false`, "i a,1")
}

// TestCopy: text, binary and frozen rows.
func TestCopy(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL+`create table copies (like orders including all)`, want("orders", "status"), want("copies", "status"))
	pg := b.conn.PgConn()
	tag, err := pg.CopyFrom(t.Context(), strings.NewReader("1,\"a,b\"\n2,\n"), `copy orders (id, status) from stdin (format csv)`)
	if err != nil || tag.String() != "COPY 2" {
		t.Fatalf("%s %v", tag, err)
	}
	b.appended("copy csv", "i a,b,1", "i NULL,2")
	var out bytes.Buffer
	if _, err := pg.CopyTo(t.Context(), &out, `copy orders to stdout (format binary)`); err != nil {
		t.Fatal(err)
	}
	if tag, err = pg.CopyFrom(t.Context(), &out, `copy copies from stdin (format binary)`); err != nil || tag.String() != "COPY 2" {
		t.Fatalf("%s %v", tag, err)
	}
	b.appended("copy binary", "i a,b,1", "i NULL,2")
	b.exec(`begin; truncate copies`)
	if _, err = pg.CopyFrom(t.Context(), strings.NewReader("3\tf\n"), `copy copies (id, status) from stdin (freeze)`); err != nil {
		t.Fatal(err)
	}
	b.exec(`commit`)
	b.appended("copy freeze", "t", "i f,3")
}

// TestWhatTheClientSees: command tags, row counts, FOUND, RETURNING and the sequences of the session are as they would be
// without triggers.
func TestWhatTheClientSees(t *testing.T) {
	t.Parallel()
	b := installed(t, `create sequence other; create table orders (id serial primary key, status text, n int default 0)`, want("orders", "status"))
	tags := func(sql string) string {
		t.Helper()
		results, err := b.conn.PgConn().Exec(t.Context(), sql).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		list := make([]string, len(results))
		for i, r := range results {
			list[i] = r.CommandTag.String()
			for _, row := range r.Rows {
				list[i] += " " + string(bytes.Join(row, []byte(",")))
			}
		}
		return strings.Join(list, ";")
	}
	for sql, want := range map[string]string{
		`select nextval('other'); insert into orders (status) values ('a'), ('b') returning id; select lastval(), currval('orders_id_seq')`: "" +
			"SELECT 1 1;INSERT 0 2 1 2;SELECT 1 2,2",
	} {
		if got := tags(sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if got := tags(`update orders set n = n + 1; update orders set status = 'c'; delete from orders where id = 2; truncate orders; select lastval()`); got !=
		"UPDATE 2;UPDATE 2;DELETE 1;TRUNCATE TABLE;SELECT 1 2" {
		t.Errorf("tags %s", got)
	}
	got := tags(`create temp table seen (x text); do $$ declare n int; begin
		insert into orders (status) values ('a'), ('b'); get diagnostics n = row_count; insert into seen values (n || ' ' || found);
		update orders set status = 'c' where false; get diagnostics n = row_count; insert into seen values (n || ' ' || found);
		perform 1 where false; insert into orders (status) values ('d'); end $$; select string_agg(x, ';') from seen`)
	if !strings.HasSuffix(got, "SELECT 1 2 true;0 false") {
		t.Errorf("diagnostics %s", got)
	}
	notices := 0
	config := b.conn.Config().Copy()
	config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { notices++ }
	client := b.connectWith(config)
	run1(t, client, `set client_min_messages = debug1; update orders set status = 'z'`)
	if notices > 0 {
		t.Errorf("a write brings %d notices", notices)
	}
}
