package triggers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/test/pgtest"
)

// rings runs statements on a connection and returns how many notifications of channel orders were committed since the
// last call. Whoever listens hears them in the order of commits, so the last one is the test's own.
func (b *bundle) rings(conn *pgx.Conn, sql string) int {
	b.t.Helper()
	run1(b.t, conn, sql)
	return b.rung()
}

func (b *bundle) rung() (n int) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	name := b.target.notify("orders")
	run1(b.t, b.conn, "listen "+ident(name)+"; select pg_notify("+literal(name)+", 'end')")
	for {
		got, err := b.conn.WaitForNotification(ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		if got.Payload == "end" {
			return n
		}
		n++
	}
}

// TestDoor: a commit rings unless somebody holds the door's lock exclusively, or waits for it, and never twice.
func TestDoor(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	b.exec("insert into orders (id, status) select i, 'a' from generate_series(1, 10) i")
	b.rung()
	erp, leader, holder := b.db.Connect(t), b.db.Connect(t), b.db.Connect(t)
	key := change.DoorKey(b.target.Schema, "orders")
	n := 0
	update := func() string { n++; return fmt.Sprintf("update orders set status = 's%d'", n) }
	expect := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d notifications, want %d", what, got, want)
		}
	}
	expect("free", b.rings(erp, update()), 1)
	expect("nothing watched changes", b.rings(erp, fmt.Sprintf("update orders set status = 's%d'", n)), 0)
	expect("twice in a transaction", b.rings(erp, "begin; "+update()+"; "+update()+"; commit"), 1)
	expect("undone", b.rings(erp, "begin; savepoint a; "+update()+"; rollback to a; commit"), 0)
	expect("undone and done again", b.rings(erp, "begin; savepoint a; "+update()+"; rollback to a; "+update()+"; commit"), 1)

	run1(t, leader, fmt.Sprintf("select pg_advisory_lock(%d)", key))
	expect("held", b.rings(erp, update()), 0)
	expect("truncated while held", b.rings(erp, "begin; truncate orders; rollback; "+update()), 0)
	run1(t, leader, "select pg_advisory_unlock_all()")
	expect("given back", b.rings(erp, update()), 1)

	run1(t, holder, "begin; "+update())
	waiting := make(chan error, 1)
	go func() {
		_, err := leader.Exec(context.Background(), "select pg_advisory_lock($1)", key)
		waiting <- err
	}()
	for b.one("select count(*)::text from pg_locks where locktype = 'advisory' and not granted and database = "+
		"(select oid from pg_database where datname = current_database())") == "0" {
	}
	expect("waited for", b.rings(erp, "insert into orders (id, status) values (11, 'x')"), 0)
	expect("the transaction that is waited for", b.rings(holder, "commit"), 1)
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	run1(t, leader, "select pg_advisory_unlock_all()")
	if got := b.one("select count(*)::text from pg_locks where locktype = 'advisory' and database = (select oid from pg_database " +
		"where datname = current_database())"); got != "0" {
		t.Errorf("%s locks are left", got)
	}
}

// TestDoorPrepared: where two-phase commit is allowed nothing rings, and no lock is taken that a prepared transaction would
// keep.
func TestDoorPrepared(t *testing.T) {
	t.Parallel()
	b := setupIn(t, pgtest.NewIn(t, pgtest.NewServer(t, map[string]string{"max_prepared_transactions": "2"})), ordersDDL,
		want("orders", "status"))
	b.up()
	b.rung()
	if n := b.rings(b.conn, "begin; insert into orders (id, status) values (1, 'a'); prepare transaction 'x'"); n != 0 {
		t.Errorf("%d notifications", n)
	}
	if got := b.one("select count(*)::text from pg_locks where locktype = 'advisory'"); got != "0" {
		t.Errorf("a prepared transaction keeps %s locks", got)
	}
	b.expect("commit prepared 'x'", "i a,1")
}

// TestDoorRightTaken: who may not notify writes without, in sessions that begin afterwards.
func TestDoorRightTaken(t *testing.T) {
	t.Parallel()
	for _, function := range []string{"pg_notify(text, text)", "pg_notification_queue_usage()"} {
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			b := installed(t, ordersDDL, want("orders", "status"))
			b.rung()
			b.exec("revoke execute on function " + function + " from public")
			if n := b.rings(b.db.Connect(t), "insert into orders (id, status) values (1, 'a')"); n != 0 {
				t.Errorf("%d notifications without the right", n)
			}
			b.appended("without the right", "i a,1")
			b.exec("grant execute on function " + function + " to " + ident(b.target.owner()))
			if n := b.rings(b.db.Connect(t), "update orders set status = 'b'"); n != 1 {
				t.Errorf("%d notifications with the right", n)
			}
			b.exec("revoke execute on function " + function + " from " + ident(b.target.owner()))
		})
	}
}

// TestDoorLockTableFull: there is no room for another lock in the server. The ERP's write goes on, and doesn't ring.
func TestDoorLockTableFull(t *testing.T) {
	t.Parallel()
	b := setupIn(t, pgtest.NewIn(t, pgtest.NewServer(t, map[string]string{
		"max_locks_per_transaction": "10", "max_connections": "20", "autovacuum": "off",
	})), ordersDDL+`; create table plain (id int);
		create function siblings() returns trigger language plpgsql as $$ begin
			update orders set status = status || '!' where id <> new.id; return null; end $$;
		create trigger z after update of note on orders for each row execute function siblings()`, want("orders", "status"))
	b.up()
	b.rung()
	erp, hog := b.db.Connect(t), b.db.Connect(t)
	if n := b.rings(erp, "insert into orders (id, status) values (1, 'x'), (2, 'x'); insert into plain values (1)"); n != 1 {
		t.Fatalf("%d notifications with room for locks", n)
	}
	run1(t, erp, "update orders set status = 'y', note = 'y'")
	run1(t, erp, "vacuum orders")
	run1(t, erp, "vacuum plain")
	if n := b.rings(erp, "update orders set status = 'a'"); n != 2 { // files have the pages, and plans are made, that a write needs
		t.Fatalf("%d notifications with room for locks", n)
	}
	b.changes()
	run1(t, hog, `do $$ begin for i in 1..10000000 loop perform pg_advisory_lock(i); end loop;
		exception when out_of_memory then null; end $$`)
	// Room for the locks that any write needs, and for no other.
	for i := 1; ; i++ {
		_, err := erp.Exec(t.Context(), "insert into plain values (1)")
		if err == nil {
			break
		}
		if pg := new(pgconn.PgError); !errors.As(err, &pg) || pg.Code != "53200" {
			t.Fatal(err)
		}
		run1(t, hog, fmt.Sprintf("select pg_advisory_unlock(%d)", i))
	}
	_, err := erp.Exec(t.Context(), "update orders set status = 'b', note = 'b'")
	run1(t, hog, "select pg_advisory_unlock_all()")
	if err != nil {
		t.Errorf("the ERP's write: %v", err)
	}
	if n := b.rung(); n != 0 {
		t.Errorf("%d notifications: there was room for the lock", n)
	}
	// In whichever order the rows lie: the change that was overtaken is a resync all the same.
	got := strings.Join(b.changes(), "; ")
	if got != "u b,1 < a,1; u b!,2 < b,2; r; u b!,1 < b,1" && got != "u b,2 < a,2; u b!,1 < b,1; r; u b!,2 < b,2" {
		t.Errorf("the update appended %s", got)
	}
}

// TestDoorKeys: the keys of channels and of what is locked differ.
func TestDoorKeys(t *testing.T) {
	t.Parallel()
	seen := map[int64]string{}
	for _, schema := range []string{"rowfeed", "other"} {
		for _, channel := range []string{"orders", "stock", change.Control} {
			for what, key := range map[string]int64{"door": change.DoorKey(schema, channel), "leader": change.LeaderKey(schema, channel)} {
				name := strings.Join([]string{what, schema, channel}, " ")
				if other := seen[key]; other != "" {
					t.Errorf("%s and %s have the same key", name, other)
				}
				seen[key] = name
			}
		}
	}
}
