package session_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const stock = `
create table stock (id bigint primary key, sku bigint not null, warehouse bigint, quantity int not null);
insert into stock select i, i % 10, i % 3, 100 from generate_series(1, 50) i;`

const channels = `
  stock:
    class: latest
    rules:
      - table: stock
        event: stock_changed
        resource: levels
        columns: [id, sku, warehouse, quantity]
        data: {sku_id: sku, warehouse_id: warehouse, new_quantity: quantity}
        audience: ["role:warehouse-{warehouse}"]
`

const clerk = "warehouse-1"

// Each bad frame has its answer, and the session lives on.
func TestBadFrames(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprint(i))
	}
	for _, tt := range []struct{ name, frame, code string }{
		{"no JSON", `hello`, "bad_frame"},
		{"array", `[]`, "bad_frame"},
		{"no type", `{}`, "bad_frame"},
		{"unknown type", `{"type":"dance","ref":"1"}`, "unknown_type"},
		{"unknown channel", `{"type":"subscribe","ref":"1","channel":"salaries"}`, "unknown_channel"},
		{"unknown resource", `{"type":"subscribe","ref":"1","channel":"stock","resource":"salaries"}`, "unknown_channel"},
		{"ref of another type", `{"type":"subscribe","ref":1,"channel":"stock"}`, "bad_frame"},
		{"long ref", `{"type":"subscribe","ref":"` + strings.Repeat("x", 65) + `","channel":"stock"}`, "too_large"},
		{"key without resource", `{"type":"subscribe","ref":"1","channel":"stock","key":17}`, "bad_frame"},
		{"key of a wrong type", `{"type":"subscribe","ref":"1","channel":"stock","resource":"levels","key":{"a":1}}`, "bad_frame"},
		{"where on no field", `{"type":"subscribe","ref":"1","channel":"stock","resource":"levels","where":{"secret":[1]}}`, "unknown_column"},
		{"where on a column that data renames", `{"type":"subscribe","ref":"1","channel":"stock","resource":"levels","where":{"sku":[1]}}`, "unknown_column"},
		{"where of objects", `{"type":"subscribe","ref":"1","channel":"stock","resource":"levels","where":{"sku_id":[{}]}}`, "bad_frame"},
		{"where of too many", `{"type":"subscribe","ref":"1","channel":"stock","resource":"levels","where":{"sku_id":[` + strings.Join(many, ",") + `]}}`, "too_large"},
		{"unsubscribe from nothing", `{"type":"unsubscribe","ref":"1","subscription":"x"}`, "bad_frame"},
		{"auth without token", `{"type":"auth"}`, "bad_frame"},
		{"auth with a bad token", `{"type":"auth","token":"x"}`, "forbidden"},
		{"auth as another user", `{"type":"auth","token":"` + rig.User(8, clerk) + `"}`, "forbidden"},
		{"rewind below zero", `{"type":"subscribe","ref":"1","channel":"stock","rewind":-1}`, "bad_frame"},
		{"rewind too far", `{"type":"subscribe","ref":"1","channel":"stock","rewind":1001}`, "too_large"},
		{"cursor of another type", `{"type":"subscribe","ref":"1","channel":"stock","cursor":7}`, "bad_frame"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := r.Full(t, rig.User(len(tt.name)*1000, clerk))
			if f := c.Ask("%s", tt.frame); f["type"] != "error" || f["code"] != tt.code || f["message"] == "" {
				t.Errorf("want error %s, got %v", tt.code, f)
			}
			if f := c.Ask(`{"type":"ping"}`); f["type"] != "pong" {
				t.Errorf("the session must live on: want pong, got %v", f)
			}
		})
	}
}

// A handshake that is no good is answered by HTTP where a browser can't have sent it, else by a close code.
func TestHandshakeRefusals(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels, "ROWFEED_AUTH_DEADLINE=300ms", "ROWFEED_AUTH_JWT_LEEWAY=0s")
	expired := rig.Token(map[string]any{"user_id": 1, "exp": time.Now().Add(-time.Hour).Unix()})
	good := rig.User(1, clerk)
	for _, tt := range []struct {
		name, path string
		header     http.Header
		protocols  []string
		status     int
		code       websocket.StatusCode
	}{
		{"token in the URL", "/ws/stock?token=" + good, nil, nil, 400, 0},
		{"unknown channel", "/ws/salaries", http.Header{"Authorization": {"Bearer " + good}}, nil, 404, 0},
		{"unknown resource", "/ws/stock/salaries", http.Header{"Authorization": {"Bearer " + good}}, nil, 404, 0},
		{"too deep", "/ws/stock/levels/1/2", http.Header{"Authorization": {"Bearer " + good}}, nil, 404, 0},
		{"no subprotocol", "/ws", http.Header{"Authorization": {"Bearer " + good}}, nil, 400, 0},
		{"plain without token", "/ws/stock", nil, nil, 101, 4501},
		{"no token in time", "/ws", nil, []string{"rowfeed.v1"}, 101, 4500},
		{"bad token", "/ws", nil, []string{"rowfeed.v1", "bearer.rubbish"}, 101, 4501},
		{"expired token", "/ws/stock", http.Header{"Authorization": {"Bearer " + expired}}, nil, 101, 4501},
		{"foreign origin", "/ws", http.Header{"Origin": {"https://evil.example"}}, []string{"rowfeed.v1", "bearer." + good}, 101, 4503},
		{"cookie from a foreign origin", "/ws", http.Header{"Origin": {"https://evil.example"}, "Cookie": {"access_token=" + good}},
			[]string{"rowfeed.v1"}, 101, 4503},
		{"cookie without origin", "/ws/stock", http.Header{"Cookie": {"access_token=" + good}}, nil, 101, 4501},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), rig.Limit)
			defer cancel()
			conn, res, err := websocket.Dial(ctx, "ws://"+r.Addr+tt.path, &websocket.DialOptions{HTTPHeader: tt.header, Subprotocols: tt.protocols})
			if res == nil || res.StatusCode != tt.status {
				t.Fatalf("want HTTP %d, got %v (%v)", tt.status, res, err)
			}
			if conn == nil {
				return
			}
			defer conn.CloseNow()
			_, _, err = conn.Read(ctx)
			if got := websocket.CloseStatus(err); got != tt.code {
				t.Errorf("want close %d, got %v", tt.code, err)
			}
			if strings.Contains(fmt.Sprint(err), good) {
				t.Error("the reason holds the token")
			}
		})
	}
	res, err := http.Get("http://" + r.Addr + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("without upgrade: want 426, got %d", res.StatusCode)
	}
}

// A token comes in the header, beside the subprotocol, in a cookie from a listed origin, or in the first frame.
func TestWaysToAuthenticate(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	good := rig.User(1, clerk)
	welcome := func(c *rig.Client) {
		t.Helper()
		if f := c.Next(); f["type"] != "welcome" || f["user"] != "1" || f["session"] == "" || f["heartbeat_ms"] != json25000 {
			t.Errorf("want welcome, got %v", f)
		}
	}
	welcome(r.Dial(t, "/ws", http.Header{"Authorization": {"Bearer " + good}}, "rowfeed.v1"))
	c := r.Dial(t, "/ws/", nil, "bearer."+good, "rowfeed.v1")
	welcome(c)
	if p := c.Subprotocol(); p != "rowfeed.v1" {
		t.Errorf("selected subprotocol %q", p)
	}
	welcome(r.Dial(t, "/ws", http.Header{"Origin": {"https://erp.example"}, "Cookie": {"access_token=" + good}}, "rowfeed.v1"))
	welcome(r.Dial(t, "/ws", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Cookie": {"access_token=" + good}}, "rowfeed.v1"))
	late := r.Dial(t, "/ws", http.Header{"Origin": {"https://erp.example"}, "Cookie": {"access_token=stale"}}, "rowfeed.v1")
	if f := late.Ask(`{"type":"subscribe","channel":"stock"}`); f["code"] != "forbidden" {
		t.Errorf("before authentication: want forbidden, got %v", f)
	}
	late.Say(`{"type":"auth","token":"` + good + `"}`)
	welcome(late)
	if p := r.Dial(t, "/ws/stock", nil, "rowfeed.plain", "bearer."+good).Subprotocol(); p != "rowfeed.plain" {
		t.Errorf("plain: selected subprotocol %q", p)
	}
}

// where is judged on both rows: out of it is a leave, into it an enter.
func TestWhere(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	c := r.Full(t, rig.User(1, clerk))
	c.Ask(`{"type":"subscribe","ref":"1","channel":"stock","resource":"levels","where":{"sku_id":[4, 5.0]}}`)
	r.Exec(t, `update stock set quantity = 99 where id in (1, 4, 7)`) // of warehouse 1; only 4 has sku 4
	if f := c.Next(); f["op"] != "update" || fmt.Sprint(f["resource_id"]) != "4" {
		t.Errorf("want the update of 4, got %v", f)
	}
	r.Exec(t, `update stock set sku = 9 where id = 4`)
	if f := c.Next(); f["op"] != "leave" || f["data"] != nil || f["old"] != nil {
		t.Errorf("want leave with the key only, got %v", f)
	}
	r.Exec(t, `update stock set sku = 5 where id = 4`)
	if f := c.Next(); f["op"] != "enter" || f["old"] != nil || f["data"] == nil {
		t.Errorf("want enter without old, got %v", f)
	}
	if f := c.Ask(`{"type":"unsubscribe","ref":"2","subscription":"1"}`); f["type"] != "unsubscribed" || f["ref"] != "2" {
		t.Errorf("want unsubscribed, got %v", f)
	}
	r.Exec(t, `update stock set quantity = 98 where id = 4`)
	if f := c.Ask(`{"type":"ping"}`); f["type"] != "pong" {
		t.Errorf("after unsubscribing: want pong, got %v", f)
	}
}

// Overlapping subscriptions give an event once; a key subscription only its row.
func TestOverlap(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	c := r.Full(t, rig.User(1, clerk, "warehouse-2"))
	c.Ask(`{"type":"subscribe","ref":"1","channel":"stock"}`)
	c.Ask(`{"type":"subscribe","ref":"2","channel":"stock","resource":"levels"}`)
	c.Ask(`{"type":"subscribe","ref":"3","channel":"stock","resource":"levels","key":"4"}`)
	keyed := r.Plain(t, "/ws/stock/levels/7/", rig.User(2, clerk))
	r.Exec(t, `update stock set quantity = 1 where id = 4`)
	r.Exec(t, `update stock set quantity = 2 where id = 7`)
	for _, want := range []string{"4", "7"} {
		if f := c.Next(); fmt.Sprint(f["resource_id"]) != want {
			t.Errorf("want %s, got %v", want, f)
		}
	}
	if f := keyed.Next(); fmt.Sprint(f["resource_id"]) != "7" {
		t.Errorf("keyed: want 7, got %v", f)
	}
	if f := c.Ask(`{"type":"ping"}`); f["type"] != "pong" {
		t.Errorf("want nothing more, got %v", f)
	}
}

// What changes hands between two audiences is a leave for one and an enter for the other.
func TestMoves(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	one, two := r.Plain(t, "/ws/stock", rig.User(1, clerk)), r.Plain(t, "/ws/stock", rig.User(2, "warehouse-2"))
	both := r.Plain(t, "/ws/stock", rig.User(3, clerk, "warehouse-2"))
	r.Exec(t, `update stock set warehouse = 2 where id = 1`)
	if f := one.Next(); f["op"] != "leave" || f["data"] != nil || f["message"] != nil {
		t.Errorf("want leave, got %v", f)
	}
	if f := two.Next(); f["op"] != "enter" || f["old"] != nil {
		t.Errorf("want enter, got %v", f)
	}
	if f := both.Next(); f["op"] != "update" || fmt.Sprint(f["old"]) != "map[warehouse_id:1]" {
		t.Errorf("want update with old, got %v", f)
	}
}

// TRUNCATE voids what subscribers hold: a frame, or the end of a plain connection. So does a cursor of no meaning.
func TestResync(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	full, plain := r.Full(t, rig.User(1, clerk)), r.Plain(t, "/ws/stock", rig.User(1, clerk))
	full.Ask(`{"type":"subscribe","ref":"a","channel":"stock","resource":"levels"}`)
	r.Exec(t, `truncate stock`)
	if f := full.Next(); f["type"] != "resync" || f["reason"] != "truncated" || f["ref"] != "a" || f["resource"] != "levels" {
		t.Errorf("want resync, got %v", f)
	}
	if ce := plain.Closed(); ce.Code != 4005 || ce.Reason != "resync: truncated" {
		t.Errorf("want 4005, got %v", ce)
	}
	if ce := r.Plain(t, "/ws/stock?cursor=abc", rig.User(1, clerk)).Closed(); ce.Code != 4005 {
		t.Errorf("with a cursor: want 4005, got %v", ce)
	}
	if f := full.Ask(`{"type":"subscribe","ref":"b","channel":"stock","cursor":"abc"}`); f["type"] != "subscribed" || f["resumed"] != false {
		t.Errorf("want subscribed, got %v", f)
	}
	if f := full.Next(); f["type"] != "resync" || f["reason"] != "cursor_expired" || f["ref"] != "b" {
		t.Errorf("want resync, got %v", f)
	}
}

// A token's end is announced, and ends the session; a renewal goes on, and new grants void what was delivered.
func TestExpiryAndRenewal(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels, "ROWFEED_AUTH_JWT_LEEWAY=0s")
	brief := func(s time.Duration) string {
		return rig.Token(map[string]any{"user_id": 1, "roles": []string{clerk}, "exp": time.Now().Add(s).Unix()})
	}
	if ce := r.Plain(t, "/ws/stock", brief(2*time.Second)).Closed(); ce.Code != 4004 {
		t.Errorf("want 4004, got %v", ce)
	}
	soon := r.Full(t, brief(62*time.Second))
	if f := soon.Next(); f["type"] != "auth_expiring" {
		t.Errorf("want auth_expiring, got %v", f)
	}
	c := r.Full(t, brief(2*time.Second))
	c.Ask(`{"type":"subscribe","ref":"1","channel":"stock"}`)
	if f := c.Ask(`{"type":"auth","token":"%s"}`, brief(time.Hour)); f["type"] != "welcome" {
		t.Errorf("want welcome, got %v", f)
	}
	if f := c.Ask(`{"type":"auth","token":"%s"}`, rig.User(1, "warehouse-2")); f["type"] != "welcome" {
		t.Errorf("want welcome, got %v", f)
	}
	if f := c.Next(); f["type"] != "resync" || f["reason"] != "grants_changed" {
		t.Errorf("want resync, got %v", f)
	}
	r.Exec(t, `update stock set quantity = 5 where id in (1, 2)`)
	if f := c.Next(); fmt.Sprint(f["resource_id"]) != "2" {
		t.Errorf("with new grants: want 2 only, got %v", f)
	}
}

// Who comes back with a cursor learns whether the past was judged by other grants than they hold now: the welcome names
// them, and what changes after it is told.
func TestResumeByOtherGrants(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	named := func(roles ...string) any {
		t.Helper()
		c := r.Dial(t, "/ws", nil, "rowfeed.v1")
		f := c.Ask(`{"type":"auth","token":"%s"}`, rig.User(1, roles...))
		if name, ok := f["grants"].(string); !ok || len(name) != 32 {
			t.Fatalf("want a welcome that names the grants, got %v", f)
		}
		return f["grants"]
	}
	one := named(clerk, "warehouse-2")
	if again := named("warehouse-2", clerk); again != one {
		t.Errorf("the same grants are named %v and %v", one, again)
	}
	if fewer := named(clerk); fewer == one {
		t.Errorf("other grants have the same name %v", one)
	}
	c := r.Full(t, rig.User(1, clerk))
	if f := c.Ask(`{"type":"auth","token":"%s"}`, rig.User(1, "warehouse-2")); f["type"] != "welcome" {
		t.Errorf("want welcome, got %v", f)
	}
	f := c.Ask(`{"type":"subscribe","ref":"1","channel":"stock","resource":"levels","cursor":"abc"}`)
	for f["reason"] != "grants_changed" || f["ref"] != "1" || f["resource"] != "levels" {
		f = c.Next()
	}
}

const json25000 = jsonNumber("25000")
