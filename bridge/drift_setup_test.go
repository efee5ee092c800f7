package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge"
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
	gone    map[string]int // likewise, of deletes
}

// follow subscribes a client to a channel and reads it until it is closed.
func follow(t *testing.T, r *rig.Rig, channel string, claims string) *frames {
	t.Helper()
	c := r.Full(t, claims)
	if f := c.Ask(`{"type":"subscribe","ref":"o","channel":"%s"}`, channel); f["type"] != "subscribed" {
		t.Fatalf("want subscribed, got %v", f)
	}
	all := &frames{resyncs: map[string]int{}, rows: map[string]int{}, gone: map[string]int{}}
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
		Type, Resource, Reason, Op string
		Key                        json.RawMessage `json:"resource_id"`
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
		if frame.Op == "delete" {
			f.gone[frame.Resource+" "+strings.Trim(string(frame.Key), `"`)]++
		}
	}
}

func (f *frames) resynced(of string) int { f.mu.Lock(); defer f.mu.Unlock(); return f.resyncs[of] }

func (f *frames) events(of string) int { f.mu.Lock(); defer f.mu.Unlock(); return f.rows[of] }

func (f *frames) deletes(of string) int { f.mu.Lock(); defer f.mu.Unlock(); return f.gone[of] }

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
	if err := m.super.QueryRow(t.Context(), `select count(*) from (select op, depth from rowfeed.change_0
		union all select op, depth from rowfeed.change_1 union all select op, depth from rowfeed.change_2) c where op = 'r' and depth = 0`).Scan(&n); err != nil {
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

// admin returns what the operator's listener answers.
func (m *migrations) admin(t *testing.T, path string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+m.Admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+rig.Token(map[string]any{"user_id": 0, "rowfeed_operator": true}))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", path, res.Status, err)
	}
	return string(b)
}
