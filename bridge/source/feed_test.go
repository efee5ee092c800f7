package source_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const table = `create table item (id int primary key, n int not null default 0); insert into item select i from generate_series(1, 100) i`

const items = `
  items:
    class: lossless
    wake: WAKE
    rules:
      - {table: item, event: item_changed, resource: items, columns: [id, n], audience: ["role:all"]}
`

func channels(wake string) string { return strings.Replace(items, "WAKE", wake, 1) }

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func event(t *testing.T, c *rig.Client) string {
	t.Helper()
	f := c.Next()
	if f["type"] != "item_changed" {
		t.Fatalf("want an event, got %v", f)
	}
	return fmt.Sprintf("%v=%v", f["resource_id"], f["data"].(map[string]any)["n"])
}

func want(t *testing.T, c *rig.Client, events ...string) {
	t.Helper()
	for _, w := range events {
		if got := event(t, c); got != w {
			t.Fatalf("want %s, got %s", w, got)
		}
	}
}

// What commits late is delivered when it commits; what rolls back, never; subtransactions as their parent decides.
func TestCommitOrder(t *testing.T) {
	t.Parallel()
	for _, wake := range []string{"auto", "sweep"} {
		t.Run(wake, func(t *testing.T) {
			t.Parallel()
			r := rig.New(t, table, channels(wake))
			c := r.Plain(t, "/ws/items", rig.User(1, "all"))
			late, later, quick := r.Conn(t), r.Conn(t), r.Conn(t)
			exec(t, late, `begin`)
			exec(t, late, `update item set n = 1 where id = 1`)
			exec(t, later, `begin`)
			exec(t, later, `update item set n = 2 where id = 2`)
			exec(t, quick, `update item set n = 3 where id = 3`)
			want(t, c, "3=3")
			exec(t, quick, `begin; update item set n = 99 where id = 9; rollback`)
			exec(t, later, `savepoint a`)
			exec(t, later, `update item set n = 98 where id = 9`)
			exec(t, later, `rollback to a`)
			exec(t, later, `savepoint b`)
			exec(t, later, `update item set n = 4 where id = 4`)
			exec(t, later, `release b`)
			exec(t, later, `commit`)
			want(t, c, "2=2", "4=4")
			exec(t, late, `update item set n = 5 where id = 5`)
			exec(t, late, `commit`)
			want(t, c, "1=1", "5=5")
			exec(t, quick, `update item set n = 6 where id = 6`)
			want(t, c, "6=6")
		})
	}
}

// The feed's and the listener's backends are killed again and again under load: every change comes once, in order.
func TestTerminatedBackends(t *testing.T) {
	t.Parallel()
	r := rig.New(t, table, channels("auto"))
	c := r.Plain(t, "/ws/items", rig.User(1, "all"))
	const changes = 1500
	written := make(chan error, 1)
	go func() {
		conn := r.Conn(t)
		for n := 1; n <= changes; n++ {
			if _, err := conn.Exec(context.Background(), `update item set n = $1 where id = $2`, n, n%100+1); err != nil {
				written <- err
				return
			}
			if n%150 == 0 {
				if _, err := conn.Exec(context.Background(), `select pg_terminate_backend(pid) from pg_stat_activity
					where datname = current_database() and application_name = 'rowfeed items'`); err != nil {
					written <- err
					return
				}
			}
		}
		written <- nil
	}()
	for n := 1; n <= changes; n++ {
		want(t, c, fmt.Sprintf("%d=%d", n%100+1, n))
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}

// The server crashes and comes back: the session stays, and goes on without a gap or is told of one.
func TestServerCrash(t *testing.T) {
	t.Parallel()
	db := pgtest.NewIn(t, pgtest.NewServer(t, map[string]string{"fsync": "on", "synchronous_commit": "on"}))
	r := rig.PrepareOn(t, db, table, channels("auto"))
	r.Start(t)
	c := r.Full(t, rig.User(1, "all"))
	c.Ask(`{"type":"subscribe","ref":"1","channel":"items"}`)
	r.Exec(t, `update item set n = 1 where id = 1`)
	want(t, c, "1=1")
	awaitSafe(t, r)
	for round := range 3 {
		if err := db.Server.Kill(syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		<-db.Server.Done()
		if err := db.Server.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.Exec(t, `update item set n = $1 where id = 2`, round+10)
		for {
			f := c.Next()
			if f["type"] == "resync" {
				t.Fatalf("round %d: a gap was told where the last tick was swept: %v", round, f)
			}
			if fmt.Sprint(f["data"].(map[string]any)["n"]) == fmt.Sprint(round+10) {
				break
			}
			t.Fatalf("round %d: got %v", round, f)
		}
		awaitSafe(t, r)
	}
}

// awaitSafe waits until a tick that was written from now on has been swept: two seconds' worth of ticks.
func awaitSafe(t *testing.T, r *rig.Rig) {
	t.Helper()
	conn := r.Conn(t)
	var before, now int
	count := `select count(*) from rowfeed.change where op = 'k' and channel = 1`
	if err := conn.QueryRow(context.Background(), count).Scan(&before); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(rig.Limit); now < before+3; {
		if err := conn.QueryRow(context.Background(), count).Scan(&now); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("no ticks")
		}
		<-time.After(50 * time.Millisecond)
	}
}
