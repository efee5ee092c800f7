package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/pgserver"
	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

// ward is an installed database, and an examination of it.
type ward struct {
	*examination
	t  *testing.T
	db *pgtest.DB
}

const wardRules = `  orders:
    class: lossless
    rules: [{table: orders, event: e, resource: orders, columns: [id], tenant: any, audience: [all]}]`

// setupWard installs a database in the server; nil: the one that tests share.
func setupWard(t *testing.T, server *pgserver.Server, more ...string) *ward {
	t.Helper()
	var db *pgtest.DB
	if server == nil {
		db = pgtest.New(t)
	} else {
		db = pgtest.NewIn(t, server)
	}
	schema := "ward_" + db.Name // its owner role is the server's
	r := rig.PrepareOn(t, db, "create table orders (id int primary key)", wardRules,
		append([]string{"ROWFEED_DATABASE_SCHEMA=" + schema, "ROWFEED_DATABASE_ADMIN_URL=" + db.URL, "ROWFEED_SERVER_MAX_CONNECTIONS=1000"}, more...)...)
	w := &ward{t: t, db: db, examination: &examination{cfg: r.Config, now: time.Now, limits: usualLimits}}
	t.Cleanup(func() { w.close(context.Background()) })
	return w
}

// connected is setupWard with both connections open.
func connected(t *testing.T, server *pgserver.Server, more ...string) *ward {
	t.Helper()
	w := setupWard(t, server, more...)
	w.says(checkDatabase, "ok", "leads straight to database "+w.db.Name)
	if w.has != needsBoth|needsInstalled {
		t.Fatalf("has %b", w.has)
	}
	return w
}

// says fails unless the check's findings are all of the outcome, and say each of the words between them; those that are not
// ok say what to do.
func (w *ward) says(check func(context.Context, *examination) []finding, outcome string, words ...string) {
	w.t.Helper()
	found := check(w.t.Context(), w.examination)
	text := fmt.Sprintf("%+v", found)
	for _, f := range found {
		if f.Outcome != outcome || (f.Do == "") != (outcome == outcomeOK) || strings.ContainsAny(f.About+f.Do, "\n\r") {
			w.t.Errorf("want %s: %+v", outcome, f)
		}
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			w.t.Errorf("want %q in %s", word, text)
		}
	}
	if len(found) == 0 {
		w.t.Error("no finding")
	}
}

func (w *ward) exec(sql string) {
	w.t.Helper()
	w.db.Exec(w.t, strings.ReplaceAll(sql, "{s}", pgx.Identifier{w.cfg.Database.Schema}.Sanitize()))
}

// open begins a transaction on a connection of its own, runs the statement and leaves it open.
func (w *ward) open(sql string) *pgx.Conn {
	w.t.Helper()
	conn := w.db.Connect(w.t)
	sql = "begin; " + strings.ReplaceAll(sql, "{s}", pgx.Identifier{w.cfg.Database.Schema}.Sanitize())
	if _, err := conn.Exec(w.t.Context(), sql); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

func pid(conn *pgx.Conn) string { return fmt.Sprintf("pid %d of role postgres", conn.PgConn().PID()) }

func TestDoctorOutbox(t *testing.T) {
	t.Parallel()
	w := connected(t, nil)
	w.says(checkInstallation, "ok", "1 tables are watched")
	w.says(checkRowSecurity, "ok")
	w.says(checkOutbox, "ok", "no bridge has run yet")
	w.exec("select {s}.tick()")
	w.says(checkOutbox, "ok", "last tick ")
	w.exec("update {s}.change_0 set at = at - interval '2 min'; update {s}.change_1 set at = at - interval '2 min'; update {s}.change_2 set at = at - interval '2 min'")
	w.says(checkOutbox, "warn", "no bridge has written a tick for 2m", "captures stop in ")
	w.exec("update {s}.installation set open_until = clock_timestamp() - interval '3 hours'")
	w.says(checkOutbox, "fail", "captures have stopped 3h0m", "they go on then, and clients fetch afresh")
	w.exec("select {s}.rotate()")

	const old = "insert into {s}.change_1 (xid, lsn, at, capture, channel, depth, op) values (pg_current_xact_id(), '0/1', clock_timestamp() - interval '%s', 0, 1, 0, 'i')"
	w.exec(fmt.Sprintf(old, "30 days"))
	w.says(checkOutbox, "warn", "its oldest row is 720h0m", "and none runs")
	w.exec("select {s}.tick()")
	w.says(checkOutbox, "warn", "its oldest row is 720h0m", "nobody holds its tables now")
	holder := w.open("select from {s}.change_1")
	w.says(checkOutbox, "warn", "its tables are held by "+pid(holder), "idle in transaction", "pg_terminate_backend")
	w.exec("delete from {s}.change_1; " + fmt.Sprintf(old, "-1 hour"))
	w.says(checkOutbox, "warn", "in the future: the server's clock was put back")
	w.exec("delete from {s}.change_1")
	w.exec("select {s}.tick()")
	w.limits.size = 1000
	w.says(checkOutbox, "warn", "on disk", "database.retention")
	w.limits.size = usualLimits.size
	w.exec("begin; insert into {s}.change_0 select pg_current_xact_id(), '0/1', now(), 0, 1, 0, 'i' from generate_series(1, 500); rollback")
	w.limits.dead = 400
	waitFor(t, func() bool { o, err := w.readOutbox(t.Context()); return err == nil && o.dead > 400 })
	w.says(checkOutbox, "warn", "dead rows")
}

// waitFor waits for what others bring about.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-limit:
			t.Fatal("waited in vain")
		case <-tick.C:
		}
	}
}

func TestDoctorDoor(t *testing.T) {
	t.Parallel()
	w := connected(t, nil)
	w.says(checkDoor, "ok")
	schema := w.cfg.Database.Schema
	for key, says := range map[int64]string{
		change.DoorKey(schema, "orders"):       "the triggers of channel orders that they are awake",
		change.DoorKey(schema, change.Control): "the triggers of channel .control that",
		change.LeaderKey(schema, "orders"):     "the bridge that leads channel orders",
	} {
		holder := w.open("select pg_advisory_lock(" + strconv.FormatInt(key, 10) + ")")
		w.says(checkDoor, "warn", pid(holder), says, "pg_terminate_backend")
		_ = holder.Close(t.Context())
		waitFor(t, func() bool { return checkDoor(t.Context(), w.examination)[0].Outcome == outcomeOK })
	}
	serve := w.db.ConnectAs(t, rig.Role)
	if _, err := serve.Exec(t.Context(), "select pg_advisory_lock($1)", change.DoorKey(w.cfg.Database.Schema, "orders")); err != nil {
		t.Fatal(err)
	}
	w.says(checkDoor, "ok")
}

func TestDoctorTransactions(t *testing.T) {
	t.Parallel()
	w := connected(t, pgtest.NewServer(t, map[string]string{"max_prepared_transactions": "5"}))
	w.says(checkTransactions, "ok", "none is older than 5m0s")
	w.says(checkPrepared, "ok")
	w.says(checkQueue, "ok", "max_prepared_transactions is 5", "ten times a second")
	w.limits.transaction = 0
	idle := w.open("insert into orders values (1)")
	w.says(checkTransactions, "warn", pid(idle), "idle in transaction", "pg_terminate_backend("+strconv.Itoa(int(idle.PgConn().PID())))
	if _, err := idle.Exec(t.Context(), "prepare transaction 'it''s old'"); err != nil {
		t.Fatal(err)
	}
	w.says(checkPrepared, "warn", `"it's old" of role postgres in database `+w.db.Name, `rollback prepared 'it''s old'`)

	w.exec("create role watcher login; grant usage on schema {s} to watcher")
	w.admin = w.db.ConnectAs(t, "watcher")
	w.limits.transaction = time.Hour
	w.says(checkTransactions, "ok", `role watcher sees its own sessions only (grant pg_read_all_stats to "watcher")`)
	w.exec("grant pg_read_all_stats to watcher")
	if text := fmt.Sprint(checkTransactions(t.Context(), w.examination)); strings.Contains(text, "its own") {
		t.Error(text)
	}
	w.exec("rollback prepared 'it''s old'")
}

// TestDoctorQueue has a listener in a transaction hold the queue. From version 17 on a queue can be made so small that it
// fills; in others the limit is set as low as what a few thousand notifications take of 8 GB.
func TestDoctorQueue(t *testing.T) {
	t.Parallel()
	settings := map[string]string{}
	probe := pgtest.NewIn(t, pgtest.NewServer(t, nil))
	small := number(t, probe.Connect(t)) >= 170000
	if small {
		settings["max_notify_queue_pages"] = "64"
	}
	w := connected(t, pgtest.NewServer(t, settings))
	w.says(checkQueue, "ok", "0 % full")
	listener := w.db.Connect(t)
	for _, sql := range []string{"listen x", "begin", "select 1"} {
		if _, err := listener.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	w.exec("select pg_notify('x', i || repeat('x', 7000)) from generate_series(1, 50) i")
	if small {
		w.says(checkQueue, "fail", "% full", "; the server names as the one that holds it "+pid(listener))
	}
	w.limits.queue = 1e-6
	if !small {
		waitFor(t, func() bool {
			return strings.Contains(checkQueue(t.Context(), w.examination)[0].About, "Those it may be")
		})
		w.says(checkQueue, "warn", "it is held by a session that listens", "Those it may be: "+pid(listener))
	}
	if _, err := listener.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return checkQueue(t.Context(), w.examination)[0].Outcome == outcomeOK })
}

func number(t *testing.T, conn *pgx.Conn) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "select current_setting('server_version_num')::int").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDoctorDeafListener: a client that does not read what it is sent holds the queue without being in a transaction.
func TestDoctorDeafListener(t *testing.T) {
	t.Parallel()
	w := connected(t, pgtest.NewServer(t, nil))
	deaf := w.db.Connect(t)
	if _, err := deaf.Exec(t.Context(), "listen x"); err != nil {
		t.Fatal(err)
	}
	w.limits.queue = 1e-9
	sender := w.db.Connect(t)
	waitFor(t, func() bool { // until the sockets' buffers are full
		if _, err := sender.Exec(t.Context(), "select pg_notify('x', i || repeat('x', 7900)) from generate_series(1, 300) i"); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(checkQueue(t.Context(), w.examination)[0].About, pid(deaf)+" in database "+w.db.Name+", whose client does not read")
	})
}

func TestDoctorConnections(t *testing.T) {
	t.Parallel()
	w := connected(t, pgtest.NewServer(t, map[string]string{"max_connections": "20"}), "PGAPPNAME=x")
	w.cfg.Database.URL += "&pool_max_conns=4"
	w.says(checkConnections, "ok", "a node may need 11; of the server's 17 places")
	var others []*pgx.Conn
	for range 10 {
		others = append(others, w.db.Connect(t))
	}
	w.says(checkConnections, "warn", "a node may need 11 connections, and the server has", "raise max_connections")
	for _, c := range others {
		_ = c.Close(t.Context())
	}
	w.exec("alter role rowfeed connection limit 10; alter database " + w.db.Name + " connection limit 9")
	w.says(checkConnections, "fail", "role rowfeed has places for 10", "the database has places for 9", `alter role "rowfeed" connection limit`)
	w.exec("alter role rowfeed connection limit -1; alter database " + w.db.Name + " connection limit -1")
	w.cfg.Channels["orders"] = config.Channel{Wake: "sweep"}
	waitFor(t, func() bool {
		return strings.Contains(fmt.Sprint(checkConnections(t.Context(), w.examination)), "a node may need 9; of the server's 17 places")
	})
	w.cfg.Database.URL += "0"
	w.says(checkConnections, "fail", "a node may need 45 connections, and the server has places for 17")
}

func TestDoctorClock(t *testing.T) {
	t.Parallel()
	w := connected(t, nil)
	w.says(checkClock, "ok")
	w.now = func() time.Time { return time.Now().Add(time.Hour) }
	w.says(checkClock, "warn", "the server's clock is 1h0m0", "behind this machine's")
	w.now = func() time.Time { return time.Now().Add(-time.Hour) }
	w.says(checkClock, "warn", "ahead of this machine's")
}

func TestDoctorSettings(t *testing.T) {
	t.Parallel()
	w := connected(t, pgtest.NewServer(t, nil))
	w.says(checkSettings, "ok")
	w.says(checkOpenFiles, "ok")
	w.cfg.Server.MaxConnections = 1 << 40
	w.says(checkOpenFiles, "warn", "server.max_connections is 1099511627776", "LimitNOFILE=")
	w.exec("create role clerk; alter role rowfeed set statement_timeout = '900ms'; alter role rowfeed set idle_in_transaction_session_timeout = '5s'; " +
		"alter role clerk set session_replication_role = replica; alter database " + w.db.Name + " set synchronous_commit = off; " +
		"alter role clerk in database postgres set synchronous_commit = off")
	w.exec("alter system set autovacuum = off")
	w.exec("select pg_reload_conf()")
	w.runtime = nil
	waitFor(t, func() bool {
		w.runtime = w.db.ConnectAs(t, rig.Role)
		found := checkSettings(t.Context(), w.examination)
		return len(found) == 5
	})
	w.says(checkSettings, "warn", "statement_timeout is 900 ms for serve's role", `alter role "rowfeed" set statement_timeout = '5s'`,
		"idle_in_transaction_session_timeout is 5000 ms", "session_replication_role is replica for role clerk",
		"synchronous_commit is off for every role", "autovacuum is off")
}

// TestDoctorOrder: every check has a name of its own, what keeps rowfeed from working comes first, and the report has them in
// that order.
func TestDoctorOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.NewIn(t, pgtest.NewServer(t, nil))
	rig.MakeRole(t, db)
	db.Exec(t, clinic+"; revoke create on schema public from public")
	path := doctored(t, db, `
  jwt: {algorithms: [HS256], secret: `+rand.Text()+rand.Text()+`, claims: {token_type: access}}
  user_query: select company_id::text, name from auth_user where id = $1::int
  grants_tables: {auth_user: id}
  grants: ["user:{sub}"]
  grants_query: select 'name:' || name from auth_user where id = $1::int`)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := rowfeed(t, nil, "migrate", "up", "-c", path); code != 0 {
		t.Fatal(out, errs)
	}
	_, findings := diagnose(t, path, nil, 0)
	var got, want []string
	for _, f := range findings {
		if len(got) == 0 || got[len(got)-1] != f.Check {
			got = append(got, f.Check)
		}
	}
	for _, c := range checks {
		if c.name != "published keys" { // there are none
			want = append(want, c.name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("checks\n%q, want\n%q", got, want)
	}
}
