package triggers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// TestPartitionKinds: rows come and go in partitions of every kind, by way of the parent and of the partition itself.
func TestPartitionKinds(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int, region text, status text, primary key (id, region)) partition by list (region);
		create table orders_id partition of orders for values in ('id') partition by hash (id);
		create table orders_id_0 partition of orders_id for values with (modulus 2, remainder 0);
		create table orders_id_1 partition of orders_id for values with (modulus 2, remainder 1);
		create table orders_range partition of orders for values in ('sg') partition by range (id);
		create table orders_low partition of orders_range for values from (minvalue) to (100);
		create table orders_rest partition of orders_range default;
		create table orders_other (status text, region text not null, gone text, id int not null, primary key (id, region));
		alter table orders_other drop column gone;
		alter table orders attach partition orders_other default;`, want("orders", "status"))
	b.expect(`insert into orders select i, r, 'a' from generate_series(1, 2) i, unnest(array['id', 'sg', 'xx']) r order by r, i`,
		"i a,1,id", "i a,2,id", "i a,1,sg", "i a,2,sg", "i a,1,xx", "i a,2,xx")
	b.expect(`update orders_other set status = 'b' where id = 1`, "u b,1,xx < a,1,xx") // other column positions
	b.expect(`insert into orders_range values (200, 'sg', 'c'); delete from only orders_rest`, "i c,200,sg", "d < c,200,sg")
	b.expect(`update orders set status = 'd' where id = 2`, "u d,2,id < a,2,id", "u d,2,sg < a,2,sg", "u d,2,xx < a,2,xx")
	b.expect(`insert into orders values (1, 'id', 'x') on conflict (id, region) do update set status = 'e'`, "u e,1,id < a,1,id")
	b.expect(`copy orders from program 'printf "7\tsg\tf\n"'`, "i f,7,sg")
	b.expect(`truncate orders_range`, "t", "t", "t") // its own, and those of its partitions
	if got := b.status(); got.State != Installed {
		t.Errorf("status %+v", got)
	}
}

// TestPartitionMoves: a row that moves to another partition has changed its key, for that holds what partitions: it is a
// delete and an insert, which is what subscribers get of any row whose key changes.
func TestPartitionMoves(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int, year int, status text, primary key (id, year)) partition by range (year);
		create table orders_25 partition of orders for values from (2025) to (2026);
		create table orders_26 partition of orders for values from (2026) to (2027);
		create table lines (id int primary key, order_id int, year int, foreign key (order_id, year) references orders
			on update cascade on delete cascade);
		insert into orders values (1, 2025, 'a'), (2, 2025, 'a'); insert into lines values (7, 1, 2025)`,
		want("orders", "status"), want("lines", "year"))
	moved := []string{"d < a,1,2025", "i b,1,2026", "d < a,2,2025", "i b,2,2026"}
	if b.inspect().server.number >= 150000 { // before, the foreign key sees a delete
		moved = append(moved, "u 2026,7 < 2025,7")
	} else {
		moved = append(moved, "d < 2025,7")
	}
	b.exec(`update orders set year = 2026, status = 'b'`)
	got := b.changes()
	slices.Sort(got)
	slices.Sort(moved)
	if !slices.Equal(got, moved) {
		t.Errorf("appended %q, want %q", got, moved)
	}
	b.expect(`update orders_26 set status = 'c' where id = 1`, "u c,1,2026 < b,1,2026")
}

// TestPartitionsComeAndGo: what is attached is captured from then on, what is detached no longer, and nothing of it makes
// a statement fail. Attaching and detaching move rows without a trigger: that is the DBA's to know.
func TestPartitionsComeAndGo(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int primary key, status text) partition by range (id);
		create table orders_1 partition of orders for values from (1) to (10);
		create table filled (id int primary key, status text); insert into filled values (11, 'x');
		create table watched (id int primary key, status text);
		create table clash (id int primary key, status text);
		create function f() returns trigger language plpgsql as $$ begin return null; end $$;`,
		want("orders", "status"), want("watched", "status"))
	row := ident(b.target.rowTrigger())
	b.exec(`create trigger ` + row + ` after insert on clash for each row execute function f()`)

	b.expect(`alter table orders attach partition filled for values from (10) to (20)`)
	b.expect(`update orders set status = 'y'`, "u y,11 < x,11")
	if got := b.one(`select string_agg(tgenabled::text, '') from pg_trigger where tgname = ` + literal(b.target.rowTrigger()) +
		` and tgrelid = 'filled'::regclass`); got != always {
		t.Errorf("the new partition's trigger is enabled %s, want %s", got, always)
	}

	// What has a trigger of our name can't be attached: PostgreSQL says so, before anything is done.
	for _, table := range []string{"watched", "clash"} {
		_, err := b.conn.Exec(t.Context(), `alter table orders attach partition `+table+` for values from (30) to (40)`)
		if sqlState(err) != duplicateObject || !strings.Contains(err.Error(), b.target.rowTrigger()) {
			t.Errorf("attach %s: %v, want that the trigger exists", table, err)
		}
	}

	b.exec(`alter table orders detach partition filled`)
	b.expect(`insert into filled values (12, 'x'); delete from filled where id = 11`)
	b.exec(`alter table orders attach partition filled for values from (10) to (20)`)
	b.expect(`update orders set status = 'z' where id = 12`, "u z,12 < x,12")
	b.exec(`alter table orders detach partition filled concurrently`)
	b.expect(`insert into filled values (13, 'x'); insert into orders values (1, 'a')`, "i a,1")
	b.exec(`drop table filled; create table orders_2 partition of orders default`)
	b.expect(`insert into orders values (50, 'b')`, "i b,50")
	b.expect(`drop table orders_2`) // no trigger fires for its rows
	b.target.Wants = b.target.Wants[:1]
	b.up()
	if got := b.status(); got.State != Installed {
		t.Errorf("status %+v", got)
	}
}

// TestAttachWhatWasWatched: a table of a configuration of before, once its trigger has gone, is attached as any other.
func TestAttachWhatWasWatched(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int primary key, status text) partition by range (id);
		create table archive (id int primary key, status text);`, want("orders", "status"), want("archive", "status"))
	b.expect(`insert into archive values (1, 'a')`, "i a,1")
	b.target.Wants = []change.Want{want("orders", "status")}
	b.up()
	b.exec(`alter table orders attach partition archive for values from (1) to (10)`)
	b.expect(`update orders set status = 'b'`, "u b,1 < a,1")
}

// TestTruncateOfNewPartition: only a truncate of the new partition by its own name goes unseen until the next up, and
// status says so; one of the parent is told.
func TestTruncateOfNewPartition(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id int primary key, status text) partition by range (id);
		create table orders_1 partition of orders for values from (1) to (10);`, want("orders", "status"))
	b.exec(`create table orders_2 partition of orders for values from (10) to (20); insert into orders values (10, 'a')`)
	b.changes()
	b.expect(`truncate orders`, "t", "t") // the parent's and that of orders_1
	b.expect(`truncate orders_2`)
	problem := fmt.Sprintf("trigger %s on \"public\".\"orders_2\" is missing", b.target.truncateTrigger())
	if got := b.status(); got.State != Outdated || !slices.Equal(got.Problems, []string{problem}) {
		t.Errorf("status %+v, want %s", got, problem)
	}
	b.up()
	b.expect(`truncate orders_2`, "t")
}

// TestInheritanceLater: children have triggers of their own, so one that is made later is not captured, and status says so.
func TestInheritanceLater(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	b.exec(`create table export_orders (port text, primary key (id)) inherits (orders)`)
	b.expect(`insert into export_orders values (1, 'a'); update orders set status = 'b'`)
	got := b.status()
	if got.State != Outdated || len(got.Problems) != 2 || !strings.Contains(got.Problems[0], `"export_orders" is missing`) {
		t.Errorf("status %+v", got)
	}
	b.up()
	b.expect(`update orders set status = 'c'; delete from only export_orders`, "u c,1 < b,1", "d < c,1")
	b.expect(`alter table export_orders no inherit orders; insert into export_orders values (2, 'd')`, "i d,2")
	b.up() // which takes the trigger off what is no longer part of it
	b.expect(`insert into export_orders values (3, 'd'); drop table export_orders`)
}
