package triggers

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/pgtest"
)

// TestLogicalReplication: rows that a subscription applies, the first copy of a table included, are captured like all
// others, for the triggers are ENABLE ALWAYS.
func TestLogicalReplication(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, map[string]string{"wal_level": "logical"})
	ddl := ordersDDL + `create table archive (id int, year int, status text, primary key (id, year)) partition by range (year);
		create table archive_25 partition of archive for values from (2025) to (2026);`
	publisher := pgtest.NewIn(t, server)
	origin := publisher.Connect(t)
	run1(t, origin, ddl+`alter table orders replica identity full; insert into orders values (1, 'a'), (2, 'b');
		create publication p for table orders, archive`)
	b := setupIn(t, pgtest.NewIn(t, server), ddl, want("orders", "status"), want("archive", "status"))
	b.up()
	t.Cleanup(func() { // before the databases go
		conn, err := pgx.Connect(context.Background(), b.db.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		for _, sql := range []string{`alter subscription s disable`, `alter subscription s set (slot_name = none)`, `drop subscription s`} {
			if _, err := conn.Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
		dropSlot(t, publisher.URL)
	})
	// In one server, a subscription that makes its own slot would wait for itself.
	run1(t, origin, `select pg_create_logical_replication_slot('s', 'pgoutput')`)
	b.exec(`create subscription s connection ` + literal(publisher.URL) + ` publication p with (create_slot = false)`)
	b.arrive("i a,1", "i b,2")
	b.await(`select count(*) = 0 from pg_subscription_rel where srsubstate <> 'r'`) // until then rows may come by the copy
	run1(t, origin, `begin; insert into orders values (3, 'c'); update orders set status = 'd' where id = 3; delete from orders where id = 1; commit;
		update orders set note = 'unwatched'; insert into archive values (1, 2025, 'x'); update archive set status = 'y'; truncate orders`)
	b.arrive("i c,3", "u d,3 < c,3", "d < a,1", "i x,1,2025", "u y,1,2025 < x,1,2025", "t")
}

// arrive waits until as many changes have come as are wanted, and compares them.
func (b *bundle) arrive(want ...string) {
	b.t.Helper()
	var got []string
	b.poll(func() bool {
		got = append(got, b.changes()...)
		return len(got) >= len(want)
	}, func() string { return fmt.Sprintf("%q have come, want %q", got, want) })
	if !slices.Equal(got, want) {
		b.t.Fatalf("appended %q\nwant     %q", got, want)
	}
}

// await waits until a query says true.
func (b *bundle) await(sql string) {
	b.t.Helper()
	b.poll(func() bool { return b.one(`select (`+sql+`)::text`) == "true" }, func() string { return "not yet: " + sql })
}

// poll asks until it is done, or says what there is after a minute.
func (b *bundle) poll(done func() bool, state func() string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !done() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			b.t.Fatalf("after a minute: %s", state())
		}
	}
}

// dropSlot drops the slot once the server has noticed that nobody reads from it.
func dropSlot(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		_, err := conn.Exec(ctx, `select pg_drop_replication_slot('s')`)
		if err == nil {
			return
		}
		if sqlState(err) != "55006" { // in use
			t.Errorf("drop slot: %v", err)
			return
		}
		<-poll.C
	}
}
