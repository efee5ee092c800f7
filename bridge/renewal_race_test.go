package bridge_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/rig"
)

// gated has the grants query of user 1 wait, after it has taken its snapshot, for an advisory lock, and that of user 2 fail
// while the table poison has a row.
const gated = `create table poison (id int);
	create function gate(who int) returns bool language plpgsql security definer as $$
	begin
		if who = 1 then
			perform pg_advisory_xact_lock_shared(4711);
		elsif who = 2 and exists (select from poison) then
			raise exception 'poisoned';
		end if;
		return true;
	end $$;`

const gatedQuery = `ROWFEED_AUTH_GRANTS_QUERY=select 'role:' || g.name from auth_group g join auth_user_groups ug on ug.group_id = g.id
	where ug.user_id = $1::int and gate($1::int)`

func newGated(t *testing.T) *rig.Rig {
	t.Helper()
	return rig.New(t, grantsTables+gated, grantsChannels, append(grantsKeys[:len(grantsKeys):len(grantsKeys)], gatedQuery)...)
}

// shut closes the gate until the returned function is called.
func shut(t *testing.T, r *rig.Rig) (open func()) {
	t.Helper()
	conn := r.Conn(t)
	if _, err := conn.Exec(t.Context(), `select pg_advisory_lock(4711)`); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.Exec(t.Context(), `select pg_advisory_unlock(4711)`); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitGate waits until so many queries stand before the gate.
func awaitGate(t *testing.T, r *rig.Rig, n int) {
	t.Helper()
	awaitTrue(t, r.Conn(t), `select count(*) >= $1 from pg_locks where locktype = 'advisory' and objid = 4711 and not granted and database =
		(select oid from pg_database where datname = current_database())`, n)
}

// heard waits until the control channel has been read up to now.
func heard(t *testing.T, r *rig.Rig) {
	t.Helper()
	var n int
	if err := r.Conn(t).QueryRow(t.Context(), `select count(*) from rowfeed.change where op <> 'k' and channel =
		(select id from rowfeed.channel where name = '.control')`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	awaitMetric(t, r, fmt.Sprintf(`rowfeed_source_changes_total\{channel="\.control"\} %d$`, n))
}

// TestLoginRaces: a login whose query has seen the old grants, and ends after they were taken away, has the new ones: by
// the handshake, by the first frame, and by renewing the token.
func TestLoginRaces(t *testing.T) {
	t.Parallel()
	for name, login := range map[string]func(t *testing.T, r *rig.Rig) (ready func() *rig.Client){
		"handshake": func(t *testing.T, r *rig.Rig) func() *rig.Client {
			done := make(chan *rig.Client, 1)
			go func() { done <- r.Dial(t, "/ws", nil, "rowfeed.v1", "bearer."+rig.User(1)) }()
			return func() *rig.Client { return <-done }
		},
		"frame": func(t *testing.T, r *rig.Rig) func() *rig.Client {
			c := r.Dial(t, "/ws", nil, "rowfeed.v1")
			c.Say(fmt.Sprintf(`{"type":"auth","token":%q}`, rig.User(1)))
			return func() *rig.Client { return c }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newGated(t)
			join(t, r, 2, 1)
			other := reader(t, r, 2)
			open := shut(t, r)
			ready := login(t, r)
			awaitGate(t, r, 1)
			part(t, r, 1, 1)
			heard(t, r)
			open()
			c := ready()
			if f := c.Next(); f["type"] != "welcome" {
				t.Fatalf("want welcome, got %v", f)
			}
			c.Ask(`{"type":"subscribe","ref":"d","channel":"documents"}`)
			document(t, r, "sales")
			wantTeams(t, other, "sales") // so it was routed
			if f := c.Ask(`{"type":"ping"}`); f["type"] != "pong" {
				t.Fatalf("want nothing of sales, got %v", f)
			}
		})
	}
}

// TestTokenRenewalRaces: the same for a token that is renewed on the open socket.
func TestTokenRenewalRaces(t *testing.T) {
	t.Parallel()
	r := newGated(t)
	join(t, r, 2, 1)
	c, other := reader(t, r, 1), reader(t, r, 2)
	document(t, r, "sales")
	wantTeams(t, c, "sales")
	wantTeams(t, other, "sales")
	conn := r.Conn(t)
	var now time.Time
	if err := conn.QueryRow(t.Context(), `select clock_timestamp()`).Scan(&now); err != nil {
		t.Fatal(err)
	}
	awaitTrue(t, conn, `select clock_timestamp() > $1::timestamptz + interval '3 s'`, now) // what was looked up is forgotten
	open := shut(t, r)
	c.Say(fmt.Sprintf(`{"type":"auth","token":%q}`, rig.User(1)))
	awaitGate(t, r, 1)
	part(t, r, 1, 1)
	heard(t, r)
	open()
	told := map[any]int{}
	for told["welcome"] == 0 || told["resync"] == 0 {
		told[c.Next()["type"]]++
	}
	document(t, r, "sales")
	wantTeams(t, other, "sales")
	if f := c.Ask(`{"type":"ping"}`); f["type"] != "pong" {
		t.Fatalf("want nothing of sales, got %v", f)
	}
}

// TestDatabaseCantSay: who can't be looked up hears nothing, and is closed in the end; others feel nothing.
func TestDatabaseCantSay(t *testing.T) {
	t.Parallel()
	r := newGated(t)
	join(t, r, 2, 1)
	c, plain, other := reader(t, r, 1), r.Plain(t, "/ws/documents", rig.User(1)), reader(t, r, 2)
	open := shut(t, r)
	defer open()
	r.Exec(t, `update auth_user set last_login = now()`)
	awaitMetric(t, r, `rowfeed_renewal_failures_total [1-9]`)
	awaitMetric(t, r, `rowfeed_renewal_sessions_total\{outcome="same"\} 1$`)
	document(t, r, "sales")
	wantTeams(t, other, "sales")
	ce := plain.Closed()
	if ce.Code != 4003 || !strings.HasPrefix(ce.Reason, "grants_changed") {
		t.Errorf("closed with %v", ce)
	}
	if f, err := nextOrClose(t, c); err == nil || !strings.Contains(err.Error(), "4003") {
		t.Errorf("got %v %v, want nothing but 4003", f, err)
	}
	document(t, r, "sales")
	wantTeams(t, other, "sales")
}

// nextOrClose returns the next frame, or why there is none.
func nextOrClose(t *testing.T, c *rig.Client) (string, error) {
	t.Helper()
	_, b, err := c.Read(t.Context())
	return string(b), err
}

// TestDatabaseCutWhileItSays: connections that end under the question are no answer.
func TestDatabaseCutWhileItSays(t *testing.T) {
	t.Parallel()
	r := newGated(t)
	c := reader(t, r, 1)
	open := shut(t, r)
	join(t, r, 1, 2)
	awaitGate(t, r, 1)
	r.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
		and wait_event_type = 'Lock'`)
	awaitMetric(t, r, `rowfeed_renewal_failures_total [1-9]`)
	open()
	wantResync(t, c)
	document(t, r, "buyers")
	wantTeams(t, c, "buyers")
}

// TestQueryFailsForOne: a query that fails for one user closes that user's sessions, and renews the others'.
func TestQueryFailsForOne(t *testing.T) {
	t.Parallel()
	r := newGated(t)
	join(t, r, 2, 1)
	one, two := reader(t, r, 1), reader(t, r, 2)
	r.Exec(t, `insert into poison values (1); update auth_group set name = 'export' where id = 1`)
	wantResync(t, one)
	document(t, r, "export")
	wantTeams(t, one, "export")
	if f, err := nextOrClose(t, two); err == nil || !strings.Contains(err.Error(), "4003") {
		t.Errorf("got %v %v, want nothing but 4003", f, err)
	}
}

// TestStorm: ten thousand rows in one statement, and changes as fast as they come, are few look-ups, and the last counts.
func TestStorm(t *testing.T) {
	t.Parallel()
	r := newGrants(t)
	one, two := reader(t, r, 1), reader(t, r, 2)
	r.Exec(t, `insert into auth_user_groups (user_id, group_id) select i, 1 from generate_series(2, 10001) i`)
	wantResync(t, two)
	document(t, r, "sales")
	wantTeams(t, one, "sales")
	wantTeams(t, two, "sales")
	conn := r.Conn(t)
	for i := range 200 {
		if _, err := conn.Exec(t.Context(), `update auth_group set name = 'sales' || $1::text where id = 1`, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	heard(t, r)
	awaitTrue(t, conn, `insert into document (team) values ('sales199') returning true`)
	for _, c := range []*rig.Client{one, two} {
		resyncs := 0
		for f := c.Next(); f["type"] == "resync"; f = c.Next() {
			resyncs++
			if resyncs > 100 {
				t.Fatal("as many look-ups as changes")
			}
			document(t, r, "sales199")
		}
		if resyncs == 0 {
			t.Error("no resync")
		}
	}
}

// TestIssuers: a change concerns the user of the issuer that the query says.
func TestIssuers(t *testing.T) {
	t.Parallel()
	r := newGrants(t,
		`ROWFEED_AUTH_USER_QUERY=select company_id::text, name from auth_user where id = $1::int and is_active and $2 in ('', 'other')`,
		`ROWFEED_AUTH_GRANTS_QUERY=select 'role:' || g.name from auth_group g join auth_user_groups ug on ug.group_id = g.id
			where ug.user_id = $1::int and $2 = case g.id when 1 then '' else 'other' end`,
		`ROWFEED_AUTH_ISSUERS=[{name: other, algorithms: [HS256], secret: "`+rig.Secret+` of another"}]`)
	mine := reader(t, r, 1)
	token := rig.Sign(map[string]any{"user_id": 1, "iss": "other"}, rig.Secret+" of another")
	theirs := r.Full(t, token)
	theirs.Ask(`{"type":"subscribe","ref":"d","channel":"documents"}`)
	join(t, r, 1, 2)
	wantResync(t, theirs)
	document(t, r, "buyers")
	wantTeams(t, theirs, "buyers")
	document(t, r, "sales")
	wantTeams(t, mine, "sales")
}
