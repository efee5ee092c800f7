package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

// The table that drifts, one that does not, and a partitioned one; all of them the ERP's own.
const driftTables = `
	do $$ begin create role drift_erp login; exception when duplicate_object or unique_violation then null; end $$;
	grant create on schema public to drift_erp; set role drift_erp;
	create table orders (id int primary key, n int not null default 0, status text, note text);
	create table items (id int primary key, n int not null default 0);
	create table log (id int, day int, n int not null default 0, primary key (id, day)) partition by range (day);
	create table log_1 partition of log for values from (0) to (10);
	insert into orders select g from generate_series(1, 20) g; insert into items select g from generate_series(1, 20) g;
	insert into log select g, 1 from generate_series(1, 20) g;
	reset role;`

const driftChannels = `
  orders:
    class: lossless
    rules:
      - {table: orders, event: order_changed, resource: orders, columns: [id, n, status], audience: ["role:all"]}
      - {table: items, event: item_changed, resource: items, columns: [id, n], audience: ["role:all"]}
      - {table: log, event: log_changed, resource: log, columns: [id, n], audience: ["role:all"]}
`

const soon = 150 * time.Millisecond // between two looks, in tests

// migrations are a rig under which the schema changes, with writers that go on through all of it.
type migrations struct {
	*rig.Rig
	erp, super *pgx.Conn
	client     *frames
}

// frames keeps what a client has heard.
type frames struct {
	mu      sync.Mutex
	resyncs map[string]int // by resource and reason
	rows    map[string]int // by resource and key
}

// follow subscribes a client to a channel and reads it until it is closed.
func follow(t *testing.T, r *rig.Rig, channel string, claims string) *frames {
	t.Helper()
	c := r.Full(t, claims)
	if f := c.Ask(`{"type":"subscribe","ref":"o","channel":"%s"}`, channel); f["type"] != "subscribed" {
		t.Fatalf("want subscribed, got %v", f)
	}
	all := &frames{resyncs: map[string]int{}, rows: map[string]int{}}
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for {
			_, b, err := c.Read(ctx)
			if err != nil {
				return
			}
			all.take(b)
		}
	}()
	return all
}

func (f *frames) take(b []byte) {
	var frame struct {
		Type, Resource, Reason string
		Key                    json.RawMessage `json:"resource_id"`
	}
	if json.Unmarshal(b, &frame) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if frame.Type == "resync" {
		f.resyncs[frame.Resource+" "+frame.Reason]++
	} else {
		f.rows[frame.Resource+" "+strings.Trim(string(frame.Key), `"`)]++
	}
}

func (f *frames) resynced(of string) int { f.mu.Lock(); defer f.mu.Unlock(); return f.resyncs[of] }

func (f *frames) events(of string) int { f.mu.Lock(); defer f.mu.Unlock(); return f.rows[of] }

func newMigrations(t *testing.T) *migrations {
	t.Helper()
	m := &migrations{Rig: rig.Prepare(t, driftTables, driftChannels)}
	m.Options = []bridge.Option{bridge.WithDriftCheck(soon)}
	m.Start(t)
	m.erp, m.super = m.DB.ConnectAs(t, "drift_erp"), m.Conn(t)
	m.client = follow(t, m.Rig, "orders", rig.User(1, "all"))
	return m
}

// until waits until a test holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after 30 s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// script runs statements by the ERP, those that begin with SUPER by the DBA; UP is migrate up.
func (m *migrations) script(t *testing.T, sql string) {
	t.Helper()
	for part := range strings.SplitSeq(sql, ";; ") {
		conn := m.erp
		rest, super := strings.CutPrefix(part, "SUPER ")
		if super {
			conn = m.super
		}
		if part == "UP" {
			m.Migrate(t)
		} else if _, err := conn.Exec(t.Context(), rest, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%v\nin: %s", err, rest)
		}
	}
}

// told returns how often a node has noted that a table stands otherwise: such rows are of no trigger.
func (m *migrations) told(t *testing.T) (n int) {
	t.Helper()
	if err := m.super.QueryRow(t.Context(), `select count(*) from rowfeed.change where op = 'r' and depth = 0`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// write has the ERP write without a pause until stop is called, which tells how often it did. A write that fails is an
// error of the test.
func (m *migrations) write(t *testing.T, statements ...string) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	counts := make([]int, 2)
	for i := range counts {
		conn := m.DB.ConnectAs(t, "drift_erp")
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				sql := fmt.Sprintf(statements[n%len(statements)], 1+(2*n+i)%20)
				if i == 1 { // a transaction of several
					sql = "begin; " + sql + "; " + sql + "; commit"
				}
				if _, err := conn.Exec(context.WithoutCancel(ctx), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
					t.Errorf("a write of the ERP fails: %v\nin: %s", err, sql)
					return
				}
				counts[i]++
			}
		})
	}
	return func() int { cancel(); wg.Wait(); return counts[0] + counts[1] }
}

// blockedBy looks, until it is stopped, whether anybody waits for one of the bridge's sessions because of a table or a row:
// the commit of a NOTIFY makes others wait whoever notifies.
func (m *migrations) blockedBy(t *testing.T) (stop func()) {
	t.Helper()
	conn := m.Conn(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			var who string
			err := conn.QueryRow(context.WithoutCancel(ctx), `select coalesce(string_agg(a.query || ' waits for ' || b.query, '; '), '') from pg_stat_activity a
				join pg_stat_activity b on b.pid = any (pg_blocking_pids(a.pid))
				join pg_locks l on l.pid = a.pid and not l.granted and l.locktype in ('relation', 'tuple', 'transactionid', 'virtualxid')
				where b.application_name like 'rowfeed%' and a.application_name not like 'rowfeed%'`).Scan(&who)
			if err != nil || who != "" {
				t.Errorf("the bridge blocks others: %v %s", err, who)
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

const captureOrders = `rowfeed.capture_orders_86a1f739`

// TestMigrationUnderWay: whatever a migration does to a watched table, the ERP's writes go on; drift shows as a metric and in
// the answers to operators; subscribers of that table and no other hear resync when it is found and when it is mended, and then
// events again; all of it without a restart.
func TestMigrationUnderWay(t *testing.T) {
	t.Parallel()
	m := newMigrations(t)
	free := m.blockedBy(t)
	defer free()
	const copied = `create table copy (like orders including all);; begin; lock table orders in access exclusive mode; insert into copy select * from orders; `
	for _, c := range []struct{ name, do, state, undo string }{
		{"rename a column", `alter table orders rename status to state`, "broken", `alter table orders rename state to status`},
		{"drop a column", `alter table orders drop column status`, "broken", `alter table orders add column status text;; UP`},
		{"retype a column", `alter table orders alter n type bigint`, "outdated", `alter table orders alter n type int;; UP`},
		{"recreate", `begin; drop table orders; create table orders (id int primary key, n int not null default 0, status text); insert into orders select g from generate_series(1, 20) g; commit`, "missing", `UP`},
		{"swap by rename", copied + `alter table orders rename to orders_old; alter table copy rename to orders; commit`, "missing", `UP;; drop table orders_old;; alter index copy_pkey rename to orders_pkey`},
		{"swap by schema", `SUPER create schema archive authorization drift_erp;; ` + copied + `alter table orders set schema archive; alter table copy rename to orders; commit`, "missing", `UP;; SUPER drop schema archive cascade`},
		{"disable trigger", `alter table orders disable trigger "00_rowfeed"`, "disabled", `alter table orders enable always trigger "00_rowfeed"`},
		{"drop trigger", `drop trigger "00_rowfeed" on orders`, "missing", `UP`},
		{"function by hand", `SUPER create or replace function ` + captureOrders + `() returns trigger language plpgsql security definer as 'begin return null; end'`, "outdated", `UP`},
		{"function dropped", `SUPER drop function ` + captureOrders + ` cascade`, "missing", `UP`},
		{"function's rights", `SUPER grant execute on function ` + captureOrders + ` to public`, "outdated", `UP`},
		{"function's owner", `SUPER alter function ` + captureOrders + ` owner to postgres`, "outdated", `UP`},
		{"other key", `alter table orders drop constraint copy_pkey, add primary key (id, n)`, "outdated", `alter table orders drop constraint orders_pkey, add primary key (id);; UP`},
	} {
		before, heard, others := m.told(t), m.client.resynced("orders drift"), m.client.resynced("items drift")
		stop := m.write(t, `update orders set n = n + 1 where id = %d`, `update items set n = n + 1 where id = %d`)
		m.script(t, c.do)
		awaitMetric(t, m.Rig, `rowfeed_triggers_drift\{state="`+c.state+`",table="public.orders"\} 1$`)
		until(t, c.name+": resync when found", func() bool { return m.client.resynced("orders drift") > heard })
		if w := warnings(t, m.Rig); !strings.Contains(w, "drift: 1 of the watched tables") {
			t.Errorf("%s: readyz warns of %q", c.name, w)
		}
		found := m.told(t)
		m.script(t, c.undo)
		awaitMetric(t, m.Rig, `rowfeed_triggers_drift\{state="installed",table="public.orders"\} 0$`)
		if n := stop(); n < 4 {
			t.Errorf("%s: only %d writes", c.name, n)
		}
		if found == before || m.told(t) == found {
			t.Errorf("%s: %d notes at first, %d when found, %d when mended", c.name, before, found, m.told(t))
		}
		m.Exec(t, `insert into orders (id) values (1000)`)
		until(t, c.name+": events again", func() bool { return m.client.events("orders 1000") > 0 })
		until(t, c.name+": resync when mended", func() bool { return m.client.resynced("orders drift") >= heard+2 })
		if m.client.resynced("items drift") != others {
			t.Errorf("%s: subscribers of another table hear of it", c.name)
		}
		if w := warnings(t, m.Rig); w != "" {
			t.Errorf("%s: readyz still warns of %q", c.name, w)
		}
		m.Exec(t, `delete from orders where id = 1000`)
		until(t, c.name+": the last event", func() bool { return m.client.events("orders 1000") > 1 })
		m.client.mu.Lock()
		delete(m.client.rows, "orders 1000")
		m.client.mu.Unlock()
	}
}

// warnings returns what readyz warns of.
func warnings(t *testing.T, r *rig.Rig) string {
	t.Helper()
	res, err := http.Get("http://" + r.Addr + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body struct{ Warnings []string }
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return strings.Join(body.Warnings, "\n")
}

// TestPartitionsUnderWay: a partition that is attached or detached brings and takes rows that no trigger sees.
func TestPartitionsUnderWay(t *testing.T) {
	t.Parallel()
	m := newMigrations(t)
	stop := m.write(t, `update log set n = n + 1 where id = %d`)
	for _, c := range []struct{ name, do, state string }{
		{"attach", `create table log_2 (like log including all); insert into log_2 values (100, 11); alter table log attach partition log_2 for values from (10) to (20)`, "outdated"},
		{"detach", `alter table log detach partition log_2`, "installed"},
	} {
		heard := m.client.resynced("log drift")
		m.script(t, c.do)
		until(t, c.name, func() bool { return m.client.resynced("log drift") > heard })
		awaitMetric(t, m.Rig, `rowfeed_triggers_drift\{state="`+c.state+`",table="public.log"\}`)
		if c.state != "installed" {
			m.script(t, "UP")
			awaitMetric(t, m.Rig, `rowfeed_triggers_drift\{state="installed",table="public.log"\} 0`)
		}
	}
	if stop() == 0 {
		t.Error("nothing was written")
	}
}

// TestDriftWhileAway: who comes back with a cursor hears of a gap that was found while they were away, from memory and from
// the outbox; so does everybody of one that nobody looked at, because no bridge ran.
func TestDriftWhileAway(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]bridge.Option{"memory": nil, "outbox": {forgetful}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rig.Prepare(t, driftTables, driftChannels)
			r.Options = append(options, bridge.WithDriftCheck(soon))
			r.Start(t)
			c := r.Full(t, rig.User(1, "all"))
			c.Ask(`{"type":"subscribe","ref":"o","channel":"orders"}`)
			cursor := ""
			for cursor == "" { // events carry one once there is a tick
				r.Exec(t, `update orders set n = n + 1 where id = 1`)
				cursor, _ = c.Next()["cursor"].(string)
			}
			_ = c.CloseNow()
			r.Stop()
			r.Exec(t, `alter table orders disable trigger user; update orders set n = 7; alter table orders enable always trigger "00_rowfeed";
				alter table orders enable always trigger "00_rowfeed_truncate"`)
			r.Start(t)
			c = r.Full(t, rig.User(1, "all"))
			c.Say(`{"type":"subscribe","ref":"o","channel":"orders","cursor":"` + cursor + `"}`)
			for f := c.Next(); f["type"] != "resync" || f["reason"] != "drift" || f["resource"] != "orders"; f = c.Next() {
				if f["reason"] == "cursor_expired" || f["reason"] == "other_epoch" {
					t.Fatalf("there was nothing to come back to: %v", f)
				}
			}
		})
	}
}

// TestDriftOfRights: when a table that grants are made of drifts, all are looked up anew, and again when it is mended: a right
// that was taken away meanwhile is gone.
func TestDriftOfRights(t *testing.T) {
	t.Parallel()
	r := newGrantsOf(t, "", bridge.WithDriftCheck(soon))
	c, other := reader(t, r, 1), reader(t, r, 2)
	r.Exec(t, `alter table auth_user_groups disable trigger user; delete from auth_user_groups where user_id = 1`)
	wantResync(t, c)
	awaitMetric(t, r, `rowfeed_triggers_drift\{state="disabled",table="public.auth_user_groups"\} 1$`)
	r.Exec(t, `insert into auth_user_groups (user_id, group_id) values (1, 1)`) // nobody sees it
	r.Migrate(t)
	wantResync(t, c)
	awaitMetric(t, r, `rowfeed_triggers_drift\{state="installed",table="public.auth_user_groups"\} 0$`)
	document(t, r, "sales")
	wantTeams(t, c, "sales")
	if f := other.Ask(`{"type":"ping"}`); f["type"] != "pong" {
		t.Errorf("whose rights are as they were hears %v", f)
	}
}

// TestStartsWithoutATable: a table that is missing at the start keeps nobody from the others, and is served when it is there
// and migrate up was run.
func TestStartsWithoutATable(t *testing.T) {
	t.Parallel()
	m := &migrations{Rig: rig.PrepareOn(t, pgtest.New(t), driftTables, driftChannels)}
	m.Options = []bridge.Option{bridge.WithDriftCheck(soon)}
	m.super = m.Conn(t)
	m.script(t, `SUPER drop table orders`)
	m.Start(t)
	m.client = follow(t, m.Rig, "orders", rig.User(1, "all"))
	until(t, "ready with a table missing", func() bool { return ready(t, m.Rig) })
	if w := warnings(t, m.Rig); !strings.Contains(w, "drift: 1 of the watched tables") {
		t.Errorf("readyz warns of %q", w)
	}
	m.script(t, `SUPER update items set n = 1 where id = 3`)
	until(t, "the other table's event", func() bool { return m.client.events("items 3") == 1 })
	m.script(t, `SUPER create table orders (id int primary key, n int, status text);; UP`)
	awaitMetric(t, m.Rig, `rowfeed_triggers_drift\{state="installed",table="public.orders"\} 0$`)
	m.script(t, `SUPER insert into orders values (1)`)
	until(t, "the table's event", func() bool { return m.client.events("orders 1") == 1 })
}

// ready tells whether the bridge says that it is.
func ready(t *testing.T, r *rig.Rig) bool {
	t.Helper()
	res, err := http.Get("http://" + r.Addr + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}
