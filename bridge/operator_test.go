package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"nalar.internal/rowfeed/bridge/operate"
	"nalar.internal/rowfeed/test/rig"
)

// anyTenant are lifeChannels where users have tenants.
var anyTenant = strings.ReplaceAll(lifeChannels, "audience:", "tenant: any, audience:")

// another runs a second bridge on the rig's database.
func another(t *testing.T, r *rig.Rig) *rig.Rig {
	t.Helper()
	cfg := *r.Config
	second := &rig.Rig{DB: r.DB, Config: &cfg, Addr: rig.FreeAddress(t), Admin: rig.FreeAddress(t)}
	cfg.Server.Listen, cfg.Server.AdminListen = second.Addr, second.Admin
	second.Start(t)
	return second
}

// kicked returns how many sessions each node closed, and on how many nodes.
func kicked(t *testing.T, r *rig.Rig, k operate.Kick) (sessions, nodes int) {
	t.Helper()
	replies := asked(t, r.Conn(t), operate.KindKick, k)
	for _, reply := range replies {
		var k operate.Kicked
		if err := json.Unmarshal(reply.Body, &k); err != nil {
			t.Fatal(err)
		}
		sessions += k.Sessions
	}
	return sessions, len(replies)
}

// A kick closes the user's sessions on every node, and nobody else's; one by session closes that one.
func TestKick(t *testing.T) {
	t.Parallel()
	r := rig.New(t, lifeTable, anyTenant, `ROWFEED_AUTH_TENANT={company}`)
	second := another(t, r)
	token := func(user, company int) string { return rig.Token(map[string]any{"user_id": user, "company": company}) }
	here, there, other := r.Full(t, token(42, 1)), second.Full(t, token(42, 2)), second.Full(t, token(43, 1))

	tenant := "2"
	if n, nodes := kicked(t, r, operate.Kick{User: "42", Tenant: &tenant}); n != 1 || nodes != 2 {
		t.Fatalf("%d sessions on %d nodes, want 1 on 2", n, nodes)
	}
	if end := there.Closed(); end.Code != 4003 || end.Reason != "grants_changed" {
		t.Errorf("closed with %d %s", end.Code, end.Reason)
	}
	back := second.Full(t, token(42, 2))
	if n, _ := kicked(t, r, operate.Kick{User: "42"}); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}
	for _, c := range []*rig.Client{here, back} {
		if end := c.Closed(); end.Code != 4003 {
			t.Errorf("closed with %d", end.Code)
		}
	}
	if n, _ := kicked(t, r, operate.Kick{User: "42"}); n != 0 {
		t.Errorf("%d sessions, want none", n)
	}
	welcome := second.Dial(t, "/ws", nil, "rowfeed.v1", "bearer."+token(44, 1))
	id, _ := welcome.Next()["session"].(string)
	if n, _ := kicked(t, r, operate.Kick{Session: id}); n != 1 {
		t.Errorf("%d sessions of id %s, want 1", n, id)
	}
	if end := welcome.Closed(); end.Code != 4003 {
		t.Errorf("closed with %d", end.Code)
	}
	if f := other.Ask(`{"type":"ping"}`); f["type"] != "pong" {
		t.Errorf("the other user's session: %v", f)
	}
}

// What is remembered of a user is forgotten before they are kicked: who comes back at once is asked for anew.
func TestKickForgets(t *testing.T) {
	t.Parallel()
	r := rig.New(t, lifeTable+`; create table person (id int primary key, active bool not null); insert into person values (42, true);
		grant select on person to public`, anyTenant,
		`ROWFEED_AUTH_USER_QUERY=select 'name' from person where id = $1::int and active`)
	c := r.Full(t, rig.User(42))
	r.Exec(t, `update person set active = false`)
	kicked(t, r, operate.Kick{User: "42"})
	if end := c.Closed(); end.Code != 4003 {
		t.Fatalf("closed with %d", end.Code)
	}
	if end := r.Dial(t, "/ws", nil, "rowfeed.v1", "bearer."+rig.User(42)).Closed(); end.Code != 4501 {
		t.Errorf("comes back: %d %s, want 4501", end.Code, end.Reason)
	}
}

// Roles of the ERP may neither ask nor answer nor read; a member of the operators' role may ask, and no more.
func TestRequestRights(t *testing.T) {
	t.Parallel()
	r := rig.New(t, lifeTable, lifeChannels)
	name := strings.ReplaceAll(r.DB.Name, "test", "op")
	erp, operator := name+"_erp", name+"_operator"
	r.Exec(t, `create role `+erp+` login; create role `+operator+` login; grant rowfeed_operator to `+operator+`; grant all on item to `+erp)
	const id = `'00000000-0000-0000-0000-000000000000'`
	calls := map[string]map[string]bool{ // statement: who may
		`select rowfeed.ask('kick', '{"user":"42"}')`:                                     {operator: true, rig.Role: true},
		`select * from rowfeed.answers(` + id + `)`:                                       {operator: true, rig.Role: true},
		`select * from rowfeed.requested(` + id + `)`:                                     {rig.Role: true},
		`select rowfeed.answer(` + id + `, 'n', '{}')`:                                    {rig.Role: true},
		`insert into rowfeed.request (kind, body, asked_by) values ('kick', '{}', 'x')`:   {},
		`insert into rowfeed.answer (request, node, body) values (` + id + `, 'n', '{}')`: {},
		`select * from rowfeed.request`:                                                   {},
		`select * from rowfeed.answer`:                                                    {},
		`delete from rowfeed.request`:                                                     {},
		`insert into rowfeed.change_0 (xid, lsn, at, capture, channel, depth, op, new)
			values ('1', '0/1', now(), -1, 1, 0, 'i', '{` + strings.Trim(id, "'") + `,kick}')`: {},
	}
	for _, role := range []string{erp, operator, rig.Role} {
		conn := r.DB.ConnectAs(t, role)
		for sql, who := range calls {
			_, err := conn.Exec(context.Background(), sql)
			var pg *pgconn.PgError
			switch denied := errors.As(err, &pg) && pg.Code == "42501"; {
			case who[role] && err != nil:
				t.Errorf("%s may not: %s: %v", role, sql, err)
			case !who[role] && !denied:
				t.Errorf("%s may: %s (%v)", role, sql, err)
			}
		}
	}
	// The operator reads the answers to their own question, others don't.
	r.Full(t, rig.User(42))
	if replies := asked(t, r.DB.ConnectAs(t, operator), operate.KindKick, operate.Kick{User: "42"}); len(replies) != 1 {
		t.Errorf("answers %v", replies)
	}
	var of int
	err := r.DB.ConnectAs(t, rig.Role).QueryRow(context.Background(),
		`select count(*) from (select 1) one, lateral rowfeed.answers($1::text::uuid)`, newestRequest(t, r)).Scan(&of)
	if err != nil || of != 0 {
		t.Errorf("another role reads %d answers to it: %v", of, err)
	}
	var pg *pgconn.PgError
	if _, err := operate.Ask(context.Background(), r.DB.ConnectAs(t, erp), "rowfeed", operate.KindKick, operate.Kick{User: "42"}); err == nil ||
		errors.As(err, &pg) || !strings.Contains(err.Error(), "grant rowfeed_operator to") {
		t.Errorf("who may not is told: %v", err)
	}
}

func newestRequest(t *testing.T, r *rig.Rig) (id string) {
	t.Helper()
	if err := r.Conn(t).QueryRow(context.Background(), `select id::text from rowfeed.request order by at desc limit 1`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// A notification is no command: forged ones on the control channel wake the node, which finds nothing.
func TestForgedNotify(t *testing.T) {
	t.Parallel()
	r := rig.New(t, lifeTable, lifeChannels)
	c := r.Full(t, rig.User(42))
	conn := r.DB.ConnectAs(t, rig.Role)
	for i := range 200 {
		for _, payload := range []string{"kick 42", `{"kind":"kick","user":"42"}`, fmt.Sprint(i), newUUID(i)} {
			if _, err := conn.Exec(context.Background(), `select pg_notify('rowfeed:.control', $1)`, payload); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A real request comes behind all of them: when it is answered they have been heard.
	if n, _ := kicked(t, r, operate.Kick{User: "nobody"}); n != 0 {
		t.Errorf("%d sessions closed", n)
	}
	if f := c.Ask(`{"type":"ping"}`); f["type"] != "pong" {
		t.Errorf("the session: %v", f)
	}
}

func newUUID(i int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", i) }

// However many requests an operator makes, few are kept; and a large one is refused.
func TestRequestFlood(t *testing.T) {
	t.Parallel()
	r := rig.New(t, lifeTable, lifeChannels)
	conn := r.DB.ConnectAs(t, rig.Role)
	accepted := 0
	for range 200 {
		_, err := conn.Exec(context.Background(), `select rowfeed.ask('kick', '{"user":"nobody"}')`)
		var pg *pgconn.PgError
		switch {
		case err == nil:
			accepted++
		case !errors.As(err, &pg) || !strings.Contains(pg.Message, "too many requests"):
			t.Fatal(err)
		}
	}
	if accepted != 60 {
		t.Errorf("%d requests were accepted within half a minute, want 60", accepted)
	}
	if _, err := operate.Ask(context.Background(), conn, "rowfeed", operate.KindKick, operate.Kick{User: "1"}); err == nil ||
		!strings.Contains(err.Error(), "too many requests") {
		t.Errorf("one more: %v", err)
	}
	r.Exec(t, `update rowfeed.request set at = at - interval '1 minute'`)
	if _, err := conn.Exec(context.Background(), `select rowfeed.ask('kick', jsonb_build_object('user', repeat('x', 20000)))`); err == nil {
		t.Error("a request of 20 KB was accepted")
	}
	if n, _ := kicked(t, r, operate.Kick{User: "1"}); n != 0 {
		t.Errorf("%d sessions", n)
	}
	r.Exec(t, `update rowfeed.request set at = at - interval '1 hour'; select rowfeed.rotate()`)
	var left int
	if err := r.Conn(t).QueryRow(context.Background(), `select count(*) from rowfeed.request`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d requests are left: %v", left, err)
	}
}

// A node that comes late does not do what was asked while it was away.
func TestOldRequest(t *testing.T) {
	t.Parallel()
	r := rig.New(t, lifeTable, lifeChannels)
	r.Stop()
	conn := r.DB.ConnectAs(t, rig.Role)
	for _, age := range []string{"31 seconds", "0 seconds"} {
		if _, err := conn.Exec(context.Background(), `select rowfeed.ask('kick', '{"user":"42"}')`); err != nil {
			t.Fatal(err)
		}
		r.Exec(t, `update rowfeed.request set at = at - $1::text::interval`, age)
	}
	r.Start(t)
	limit := time.Now().Add(rig.Limit)
	for {
		var old, young int
		err := conn.QueryRow(context.Background(), `select 1`).Scan(&old)
		if err == nil {
			err = r.Conn(t).QueryRow(context.Background(), `select count(*) filter (where r.at < clock_timestamp() - interval '20 seconds'),
				count(*) filter (where r.at > clock_timestamp() - interval '20 seconds')
				from rowfeed.answer a join rowfeed.request r on r.id = a.request`).Scan(&old, &young)
		}
		if err != nil {
			t.Fatal(err)
		}
		if old > 0 {
			t.Fatal("a request of half a minute ago was answered")
		}
		if young > 0 { // they are answered in their order
			return
		}
		if time.Now().After(limit) {
			t.Fatal("the young request was not answered")
		}
	}
}

// Without a bridge nobody is asked, and nothing is left behind.
func TestNoBridge(t *testing.T) {
	t.Parallel()
	r := rig.Prepare(t, lifeTable, lifeChannels)
	conn := r.DB.ConnectAs(t, rig.Role)
	// A stranger can call a connection what it likes.
	stranger, err := pgx.ParseConfig(r.DB.URL)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(r.DB.Name, "test", "stranger")
	r.Exec(t, `create role `+name+` login`)
	stranger.User, stranger.RuntimeParams["application_name"] = name, operate.NodeName("fake", "rowfeed")
	fake, err := pgx.ConnectConfig(context.Background(), stranger)
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close(context.Background())
	replies, err := operate.Ask(context.Background(), conn, "rowfeed", operate.KindKick, operate.Kick{User: "1"})
	if err != nil || len(replies.Replies)+len(replies.Silent) > 0 {
		t.Errorf("%+v %v", replies, err)
	}
}

// The operator's listener has kick, explain and sessions, for operators; the public one has none of them, nor metrics.
func TestAdminEndpoints(t *testing.T) {
	t.Parallel()
	r := rig.New(t, lifeTable, lifeChannels)
	c := r.Full(t, rig.User(42))
	c.Ask(`{"type":"subscribe","ref":"a","channel":"items"}`)
	operator := "Bearer " + rig.Token(map[string]any{"user_id": 1, "rowfeed_operator": true})
	for _, tt := range []struct {
		name, address, method, path, body string
		header                            map[string]string
		status                            int
		want                              string
	}{
		{"public kick", r.Addr, "POST", "/admin/kick", `{"user":"42"}`, nil, 404, ""},
		{"public sessions", r.Addr, "GET", "/admin/sessions?user=42", "", nil, 404, ""},
		{"public metrics", r.Addr, "GET", "/metrics", "", nil, 404, ""},
		{"no token", r.Admin, "POST", "/admin/kick", `{"user":"42"}`, map[string]string{"Authorization": ""}, 401, ""},
		{"a user's token", r.Admin, "POST", "/admin/kick", `{"user":"42"}`, map[string]string{"Authorization": "Bearer " + rig.User(42)}, 401, ""},
		{"by GET", r.Admin, "GET", "/admin/kick?user=42", "", nil, 405, ""},
		{"foreign origin", r.Admin, "POST", "/admin/kick", `{"user":"42"}`, map[string]string{"Origin": "https://evil.example"}, 403, ""},
		{"opaque origin", r.Admin, "POST", "/admin/kick", `{"user":"42"}`, map[string]string{"Origin": "null"}, 403, ""},
		{"cross-site", r.Admin, "POST", "/admin/kick", `{"user":"42"}`, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, ""},
		{"a form", r.Admin, "POST", "/admin/kick", `{"user":"42"}`, map[string]string{"Content-Type": "text/plain"}, 415, ""},
		{"large", r.Admin, "POST", "/admin/kick", `{"user":"` + strings.Repeat("x", 70_000) + `"}`, nil, 413, ""},
		{"not JSON", r.Admin, "POST", "/admin/kick", `{"user"`, nil, 400, "read body"},
		{"misspelt", r.Admin, "POST", "/admin/kick", `{"usr":"42"}`, nil, 400, "usr"},
		{"two", r.Admin, "POST", "/admin/kick", `{"user":"42"}{}`, nil, 400, "more than one"},
		{"nobody named", r.Admin, "POST", "/admin/kick", `{}`, nil, 400, "name the user"},
		{"nobody listed", r.Admin, "GET", "/admin/sessions", "", nil, 400, "name the user"},
		{"sessions", r.Admin, "GET", "/admin/sessions?user=42", "", nil, 200, `"channels":["items"]`},
		{"explain", r.Admin, "POST", "/admin/explain", `{"user":"42","table":"item","key":"1"}`, nil, 200, `"gate":"captured"`},
		{"kick", r.Admin, "POST", "/admin/kick", `{"user":"42"}`, map[string]string{"Origin": "http://" + r.Admin}, 200, `"sessions":1`},
	} {
		req, err := http.NewRequest(tt.method, "http://"+tt.address+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		req.Header.Set("Authorization", operator)
		req.Header.Set("Content-Type", "application/json")
		for k, v := range tt.header {
			req.Header.Set(k, v)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != tt.status || !strings.Contains(strings.ReplaceAll(string(body), `": `, `":`), tt.want) {
			t.Errorf("%s: %d %s, want %d with %s", tt.name, res.StatusCode, body, tt.status, tt.want)
		}
	}
	if end := c.Closed(); end.Code != 4003 {
		t.Errorf("closed with %d", end.Code)
	}
	if m := r.Metrics(t); !strings.Contains(m, `rowfeed_operator_requests_total{kind="kick",result="answered"} 1`) {
		t.Error("the kick is not counted")
	}
}

// A node that leaves while it is asked is not waited for to the end.
func TestNodeLeaves(t *testing.T) {
	t.Parallel()
	r := rig.New(t, lifeTable, lifeChannels)
	cfg, err := pgx.ParseConfig(r.DB.URLFor(rig.Role))
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["application_name"] = operate.NodeName("mute", "rowfeed")
	mute, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	conn := r.Conn(t)
	done := make(chan *operate.Replies)
	go func() {
		replies, err := operate.Ask(context.Background(), conn, "rowfeed", operate.KindKick, operate.Kick{User: "1"})
		if err != nil {
			t.Error(err)
		}
		done <- replies
	}()
	for { // until the other has answered
		var n int
		if err := mute.QueryRow(context.Background(), `select count(*) from rowfeed.change where capture = -1`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			break
		}
	}
	mute.Close(context.Background())
	if replies := <-done; len(replies.Replies) != 1 || len(replies.Silent) != 0 {
		t.Errorf("%+v", replies)
	}
}
