package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/test/rig"
)

// The tables of a Django ERP that grants are made of, and documents of groups; user 1 is in sales, 2 in none, 3 elsewhere.
const grantsTables = `
	create table auth_user (id int primary key, company_id int not null default 1, name text not null default 'Ana', password text,
		is_active bool not null default true, last_login timestamptz);
	create table auth_group (id int primary key, name text not null);
	create table auth_user_groups (id int primary key generated always as identity, user_id int not null, group_id int not null);
	create table document (id int primary key generated always as identity, team text not null, company int not null default 1, n int default 0, body text default '');
	insert into auth_user (id, company_id) values (1, 1), (2, 1), (3, 2);
	insert into auth_group values (1, 'sales'), (2, 'buyers');
	insert into auth_user_groups (user_id, group_id) values (1, 1), (3, 1);
	grant select (id, company_id, name, is_active) on auth_user to public; grant select on auth_group, auth_user_groups to public;
	`

const grantsChannels = `
  documents:
    class: lossless
    rules:
      - {table: document, event: document_changed, resource: documents, columns: [id, team, company, n, body], audience: ["role:{team}"], tenant: "{company}"}
`

// grantsKeys are the queries, and the tables that they read.
var grantsKeys = []string{
	`ROWFEED_AUTH_USER_QUERY=select company_id::text, name from auth_user where id = $1::int and is_active`,
	`ROWFEED_AUTH_GRANTS_QUERY=select 'role:' || g.name from auth_group g join auth_user_groups ug on ug.group_id = g.id where ug.user_id = $1::int`,
	`ROWFEED_AUTH_GRANTS_TABLES={auth_user_groups: user_id, auth_user: id, auth_group: ""}`,
	`ROWFEED_AUTH_GRANTS=["user:{user_id}"]`,
}

// newGrants runs a bridge whose grants come from queries.
func newGrants(t *testing.T, more ...string) *rig.Rig {
	t.Helper()
	return rig.New(t, grantsTables, grantsChannels, append(grantsKeys[:len(grantsKeys):len(grantsKeys)], more...)...)
}

// both has user 1 in both groups from the beginning.
const both = `insert into auth_user_groups (user_id, group_id) values (1, 2);`

// forgetful is a memory that holds nearly nothing, so that the past is read from the outbox.
var forgetful = bridge.WithHistory(1)

// newGrantsOf is newGrants with more SQL, and options.
func newGrantsOf(t *testing.T, sql string, options ...bridge.Option) *rig.Rig {
	t.Helper()
	r := rig.Prepare(t, grantsTables+sql, grantsChannels, grantsKeys...)
	r.Options = options
	r.Start(t)
	return r
}

// reader is subscribed to all documents.
func reader(t *testing.T, r *rig.Rig, user int) *rig.Client {
	t.Helper()
	c := r.Full(t, rig.User(user))
	if f := c.Ask(`{"type":"subscribe","ref":"d","channel":"documents"}`); f["type"] != "subscribed" {
		t.Fatalf("want subscribed, got %v", f)
	}
	return c
}

// document adds a document of a team.
func document(t *testing.T, r *rig.Rig, team string) {
	r.Exec(t, `insert into document (team) values ($1)`, team)
}

// wantResync reads the next frame, which tells of other grants.
func wantResync(t *testing.T, c *rig.Client) {
	t.Helper()
	if f := c.Next(); f["type"] != "resync" || f["reason"] != "grants_changed" || f["channel"] != "documents" {
		t.Fatalf("want a resync of grants_changed, got %v", f)
	}
}

// wantTeams reads the next events, which are of documents of these teams.
func wantTeams(t *testing.T, c *rig.Client, teams ...string) {
	t.Helper()
	for _, team := range teams {
		f := c.Next()
		if data, _ := f["data"].(map[string]any); f["type"] != "document_changed" || data["team"] != team {
			t.Fatalf("want a document of %s, got %v", team, f)
		}
	}
}

// wantClosed waits for the close code.
func wantClosed(t *testing.T, c *rig.Client, code int, reason string) {
	t.Helper()
	if ce := c.Closed(); int(ce.Code) != code || ce.Reason != reason {
		t.Fatalf("closed with %v %q, want %d %q", ce.Code, ce.Reason, code, reason)
	}
}

// join puts a user into a group.
func join(t *testing.T, r *rig.Rig, user, group int) {
	t.Helper()
	r.Exec(t, `insert into auth_user_groups (user_id, group_id) values ($1, $2)`, user, group)
}

func part(t *testing.T, r *rig.Rig, user, group int) {
	t.Helper()
	r.Exec(t, fmt.Sprintf(`delete from auth_user_groups where user_id = %d and group_id = %d`, user, group))
}

// awaitMetric waits until a line of the metrics matches.
func awaitMetric(t *testing.T, r *rig.Rig, pattern string) {
	t.Helper()
	re := regexp.MustCompile(`(?m)^` + pattern)
	for deadline := time.Now().Add(rig.Limit); !re.MatchString(r.Metrics(t)); {
		if time.Now().After(deadline) {
			all := regexp.MustCompile(`(?m)^rowfeed_(renewal|session|router).*`).FindAllString(r.Metrics(t), -1)
			t.Fatalf("no metric %s in\n%s", pattern, strings.Join(all, "\n"))
		}
		<-time.After(10 * time.Millisecond)
	}
}

// idle connects a client that the kernel takes little for while it does not read.
func idle(t *testing.T, r *rig.Rig, token string) *rig.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), rig.Limit)
	defer cancel()
	dialer := &net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		control := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10)
		})
		return errors.Join(control, err)
	}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	conn, _, err := websocket.Dial(ctx, "ws://"+r.Addr+"/ws", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{"rowfeed.v1", "bearer." + token},
	})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	c := rig.Wrap(t, conn)
	if f := c.Next(); f["type"] != "welcome" {
		t.Fatalf("want welcome, got %v", f)
	}
	return c
}

// settled waits until so many sessions have been told of other grants.
func settled(t *testing.T, r *rig.Rig, changed int) {
	t.Helper()
	awaitMetric(t, r, fmt.Sprintf(`rowfeed_renewal_sessions_total\{outcome="changed"\} %d$`, changed))
}
