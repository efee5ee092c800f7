package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
	w.says(checkOutbox, "warn", "no bridge has written a tick for 2m")

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

func TestDoctorInstallation(t *testing.T) {
	t.Parallel()
	w := connected(t, nil)
	w.exec("create table more (id int primary key)")
	trigger := `"00_` + w.cfg.Database.Schema + `"`
	for _, step := range []struct{ do, undo, outcome, says string }{
		{"alter table orders disable trigger " + trigger, "alter table orders enable always trigger " + trigger, "fail", "table public.orders: disabled"},
		{"revoke select on {s}.change_1 from rowfeed", "grant select on {s}.change_1 to rowfeed", "fail", "role rowfeed (the user of database.url) lacks rights"},
		{"alter function {s}.tick() security invoker", "alter function {s}.tick() security definer", "fail", "function tick is not security definer"},
		{"alter table orders drop constraint orders_pkey", "alter table orders add primary key (id)", "fail", "table public.orders: broken"},
	} {
		w.exec(step.do)
		w.says(checkInstallation, step.outcome, step.says)
		w.exec(step.undo)
	}
	w.says(checkInstallation, "ok")
	w.cfg.Channels["orders"].Rules[0].Table = "more"
	w.says(func(ctx context.Context, x *examination) []finding {
		return slices.DeleteFunc(checkInstallation(ctx, x), func(f finding) bool { return f.Outcome == outcomeFail })
	}, "warn", "table public.orders: has triggers, but no rule names it")
	w.cfg.Database.Schema = "nowhere"
	w.has &^= needsInstalled
	w.says(checkInstallation, "fail", "schema nowhere is not installed")
}

func TestDoctorRowSecurity(t *testing.T) {
	t.Parallel()
	w := connected(t, nil, "ROWFEED_AUTH_USER_QUERY=select name from staff where id = $1::int")
	w.exec("create table staff (id int, name text); alter table staff enable row level security; grant select on staff to rowfeed")
	w.says(checkRowSecurity, "warn", "auth.user_query reads public.staff, where row-level security decides")
	w.exec("alter table staff disable row level security; alter table {s}.change_2 enable row level security")
	w.says(checkRowSecurity, "fail", "row-level security is on for "+w.cfg.Database.Schema+".change_2")
}

func TestDoctorOthers(t *testing.T) {
	t.Parallel()
	w := connected(t, nil, "ROWFEED_AUTH_USER_QUERY=select 1::text where $1 = ''")
	w.says(checkRights, "ok")
	w.says(checkOthers, "ok")
	reporting, schema := "reporting_"+w.db.Name, w.cfg.Database.Schema
	w.exec("create role " + reporting + " login")
	for _, step := range []struct{ do, undo, says string }{
		{"grant select on all tables in schema {s} to " + reporting, "revoke all on all tables in schema {s} from " + reporting, "role " + reporting + " may select 9 tables"},
		{"grant insert on {s}.change_0 to public", "revoke insert on {s}.change_0 from public", "everybody (PUBLIC) may insert " + schema + ".change_0"},
		{"grant execute on function {s}.tick() to public", "revoke execute on function {s}.tick() from public", "everybody (PUBLIC) may call tick"},
		{"alter role {s}_owner login", "alter role {s}_owner nologin", "role " + schema + "_owner can log in"},
		{"alter role {s}_operator superuser", "alter role {s}_operator nosuperuser", "role " + schema + "_operator is a superuser"},
	} {
		w.exec(strings.ReplaceAll(step.do, "{s}_", schema+"_"))
		w.says(checkOthers, "warn", step.says)
		w.exec(strings.ReplaceAll(step.undo, "{s}_", schema+"_"))
	}
	w.says(checkOthers, "ok")
	for do, says := range map[string]string{
		"grant insert on {s}.change_0 to rowfeed": "may write the outbox",
		"grant update on orders to rowfeed":       "may write tables of the ERP",
		"grant create on schema {s} to rowfeed":   "may create in schemas",
	} {
		w.exec(do)
		w.says(checkRights, "warn", says)
		w.exec(strings.NewReplacer("grant", "revoke", " to ", " from ").Replace(do))
	}
	w.exec("revoke create on schema public from public")
	w.says(checkSearchPath, "ok")
	w.exec("grant create on schema public to public")
	w.says(checkSearchPath, "warn", "every login may create in schema public")
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
		w.says(checkQueue, "fail", "it; the server names as the one that holds it "+pid(listener))
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

func TestDoctorStandby(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	w := setupWard(t, server)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	standby, err := server.Standby(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	url := standby.URL(w.db.Name, rig.Role)
	w.cfg.Database.URL = url
	waitFor(t, func() bool { // what was committed has come over
		return strings.Contains(fmt.Sprint(checkDatabase(t.Context(), w.examination)), "leads to a standby")
	})
	if w.has&needsRuntime != 0 || w.has&needsAdmin == 0 {
		t.Errorf("has %b", w.has)
	}
	w.cfg.Database.URL = strings.Replace(url, "127.0.0.1", "localhost:"+strconv.Itoa(standby.Port())+",127.0.0.1", 1)
	text := fmt.Sprint(checkDatabase(t.Context(), w.examination))
	if !strings.Contains(text, "none of its hosts is a primary that answers") {
		t.Error(text)
	}
}

// TestDoctorUnencrypted reaches the server by an address of this machine that is no loopback.
func TestDoctorUnencrypted(t *testing.T) {
	t.Parallel()
	address := outside(t)
	server := pgtest.NewServer(t, map[string]string{"listen_addresses": "*"})
	w := setupWard(t, server)
	hba := filepath.Join(server.Dir(), "data", "pg_hba.conf")
	if err := os.WriteFile(hba, []byte("host all all all trust\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.exec("select pg_reload_conf()")
	w.cfg.Database.URL = strings.Replace(w.cfg.Database.URL, "127.0.0.1", address, 1)
	const words = "database.url: the connection to "
	waitFor(t, func() bool { // the server has read its file
		return strings.Contains(fmt.Sprint(checkDatabase(t.Context(), w.examination)), words+address)
	})
}

// outside is an address of this machine that others can reach.
func outside(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	t.Fatal("this machine has no address but loopback")
	return ""
}

// TestDoctorPooler puts a real PgBouncer in the way.
func TestDoctorPooler(t *testing.T) {
	t.Parallel()
	w := setupWard(t, nil)
	const ignored = "ignore_startup_parameters = extra_float_digits, default_transaction_read_only, default_transaction_isolation\n"
	for _, c := range []struct{ settings, outcome, says string }{
		{"pool_mode = session\n", "fail", "unsupported startup parameter"},
		{"pool_mode = transaction\n" + ignored, "fail", "gives each transaction another connection"},
		{"pool_mode = statement\n" + ignored, "fail", "through a pooler"},
		{"pool_mode = session\n" + ignored, "warn", "through a pooler in session mode"},
	} {
		port := bouncer(t, w.db.Server.Port(), c.settings)
		w.has, w.runtime = 0, nil
		w.cfg.Database.URL = fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", rig.Role, port, w.db.Name)
		f := checkDatabase(t.Context(), w.examination)[0]
		if f.Outcome != c.outcome || !strings.Contains(f.About, c.says) || !strings.Contains(f.Do, "name the server itself in database.url") {
			t.Errorf("%s: %+v", c.settings, f)
		}
		if usable := w.has&needsRuntime != 0; usable != (c.outcome == outcomeWarn) {
			t.Errorf("%s: usable %v", c.settings, usable)
		}
	}
}

// bouncer runs a PgBouncer in front of a server, until the test ends, and returns its port.
func bouncer(t *testing.T, server int, settings string) int {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer" // Debian's, which is not in every PATH
	}
	_, text, _ := strings.Cut(rig.FreeAddress(t), ":")
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "rowfeed-bouncer-") // whom it runs as may not read t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ini := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nauth_type = any\n"+
		"unix_socket_dir =\nserver_tls_sslmode = disable\n%s", server, port, settings)
	// Where auth_type is any, all log in to the server as the user that the database names.
	ini = strings.Replace(ini, "port="+strconv.Itoa(server), "port="+strconv.Itoa(server)+" user="+rig.Role, 1)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(ini), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, file)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}} // it refuses to be root
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: install PgBouncer: scripts/setup.sh pgbouncer", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	waitFor(t, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return port
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
