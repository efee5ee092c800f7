package bridge_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/pgserver"
	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

// whole is the server's own database: the server ends with the test, and nothing has to be dropped.
func whole(s *pgserver.Server) *pgtest.DB {
	return &pgtest.DB{Name: "postgres", Server: s, URL: s.URL("postgres", pgserver.Superuser)}
}

// awaitTrue waits until a query says so.
func awaitTrue(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	for limit, ok := time.After(2*rig.Limit), false; !ok; {
		if err := conn.QueryRow(context.Background(), sql, args...).Scan(&ok); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		select {
		case <-limit:
			t.Fatalf("%s: still not", sql)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// cutReplication waits until the standby has all that there is, and has it receive no more.
func cutReplication(t *testing.T, primary, standby *pgx.Conn) {
	t.Helper()
	var at string
	if err := primary.QueryRow(context.Background(), `select pg_current_wal_lsn()::text`).Scan(&at); err != nil {
		t.Fatal(err)
	}
	awaitTrue(t, standby, `select pg_last_wal_replay_lsn() >= $1::text::pg_lsn`, at)
	for _, sql := range []string{`alter system set primary_conninfo = ''`, `select pg_reload_conf()`} {
		if _, err := standby.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	awaitTrue(t, standby, `select not exists (select from pg_stat_wal_receiver)`)
}

// A standby is promoted that never got the primary's last transactions: subscribers hear that their past is another one,
// and what commits then arrives. The former primary comes back as a standby, first in the list, and is left alone.
func TestPromotedStandby(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	first := pgtest.NewServer(t, nil)
	r := rig.PrepareOn(t, whole(first), expenses, approvals)
	second, err := first.Standby(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Stop)
	host := func(s *pgserver.Server) string { return fmt.Sprintf("127.0.0.1:%d", s.Port()) }
	r.Config.Database.URL = strings.Replace(r.Config.Database.URL, host(first), host(first)+","+host(second), 1)
	r.Start(t)
	c := r.Full(t, rig.User(900, "approver"))
	if f := c.Ask(`{"type":"subscribe","ref":"1","channel":"approvals"}`); f["type"] != "subscribed" {
		t.Fatalf("want subscribed, got %v", f)
	}
	status := func() string {
		t.Helper()
		f := c.Next()
		if f["type"] != "approval_status_changed" {
			t.Fatalf("want an event, got %v", f)
		}
		return f["data"].(map[string]any)["status"].(string)
	}
	r.Exec(t, `update expense set status = 'a' where id = 1`)
	if got := status(); got != "a" {
		t.Fatalf("want a, got %s", got)
	}
	standby := whole(second).Connect(t)
	cutReplication(t, r.Conn(t), standby)
	r.Exec(t, `update expense set status = 'lost' where id = 1`)
	if got := status(); got != "lost" {
		t.Fatalf("want lost, got %s", got)
	}
	if err := first.Kill(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-first.Done()
	awaitReadiness(t, r, rig.Limit, func(said string) bool { return said != "" })

	began := time.Now()
	if _, err := standby.Exec(ctx, `select pg_promote()`); err != nil {
		t.Fatal(err)
	}
	if f := c.Next(); f["type"] != "resync" || f["reason"] != "other_epoch" {
		t.Fatalf("want resync, got %v", f)
	}
	told := time.Since(began)
	awaitReadiness(t, r, rig.Limit, func(said string) bool { return said == "" })
	ready := time.Since(began)
	// And hear it once: the next frame is a change.
	awaitTrue(t, standby, `select epoch = rowfeed.epoch() and horizon > '0' from rowfeed.installation`)
	whole(second).Exec(t, `update expense set status = 'b' where id = 1`)
	if got := status(); got != "b" {
		t.Fatalf("want b, got %s", got)
	}

	if err := first.Demote(); err != nil {
		t.Fatal(err)
	}
	if err := first.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	awaitTrue(t, whole(first).Connect(t), `select pg_is_in_recovery()`)
	// A tick that has been swept, so that there is a place to go on from.
	awaitTrue(t, standby, `select coalesce(max(at) - min(at), interval '0') > interval '2 s' from rowfeed.change where op = 'k' and at > $1`, began.Add(ready))
	whole(second).Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rowfeed'`)
	whole(second).Exec(t, `update expense set status = 'c' where id = 1`)
	if got := status(); got != "c" {
		t.Fatalf("want c, got %s", got)
	}
	awaitReadiness(t, r, rig.Limit, func(said string) bool { return said == "" })
	t.Logf("after the promotion: subscribers told in %v, ready in %v", told, ready)
}
