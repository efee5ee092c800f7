package bridge_test

import (
	"testing"

	"nalar.internal/rowfeed/test/rig"
)

// TestGrantAdded: who gets a grant hears that what they may see has changed, and then of what is theirs now.
func TestGrantAdded(t *testing.T) {
	t.Parallel()
	r := newGrants(t)
	c := reader(t, r, 2)
	document(t, r, "sales")
	join(t, r, 2, 1)
	wantResync(t, c)
	document(t, r, "buyers")
	document(t, r, "sales")
	wantTeams(t, c, "sales")
	join(t, r, 2, 2)
	wantResync(t, c)
	r.Exec(t, `update document set n = 1 where id = 2; update document set team = 'buyers' where id = 1; update document set team = 'nobody'`)
	wantTeams(t, c, "buyers", "buyers")
	for range 3 { // all three were sales' or buyers'
		if f := c.Next(); f["op"] != "leave" || f["data"] != nil {
			t.Fatalf("want a leave, got %v", f)
		}
	}
}

// TestGrantRemoved: nothing of what was theirs comes any more, though writes go on; others feel nothing.
func TestGrantRemoved(t *testing.T) {
	t.Parallel()
	r := newGrants(t)
	join(t, r, 2, 1)
	c, other := reader(t, r, 1), reader(t, r, 2)
	tab := reader(t, r, 1)
	document(t, r, "sales")
	for _, c := range []*rig.Client{c, other, tab} {
		wantTeams(t, c, "sales")
	}
	part(t, r, 1, 1)
	wantResync(t, c)
	wantResync(t, tab)
	for range 5 {
		document(t, r, "sales")
	}
	wantTeams(t, other, "sales", "sales", "sales", "sales", "sales")
	for _, c := range []*rig.Client{c, tab} { // the pong comes behind whatever was sent
		if f := c.Ask(`{"type":"ping"}`); f["type"] != "pong" {
			t.Fatalf("after the revocation: %v", f)
		}
	}
}

// TestUnchanged: rows that are saved without a change of what may be seen are not heard of.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	r := newGrants(t)
	c := reader(t, r, 1)
	r.Exec(t, `update auth_user set last_login = now()`)
	r.Exec(t, `update auth_user set name = 'Ana Lima'`)
	r.Exec(t, `update auth_group set name = name; insert into auth_group values (3, 'nobody')`)
	awaitMetric(t, r, `rowfeed_renewal_sessions_total\{outcome="same"\} [1-9]`)
	document(t, r, "sales")
	wantTeams(t, c, "sales")
}

// TestRefusedNow: who may not log in any more is closed, for good; who is of another tenant has to come back as that.
func TestRefusedNow(t *testing.T) {
	t.Parallel()
	r := newGrants(t)
	c, plain, moved, other := reader(t, r, 1), r.Plain(t, "/ws/documents", rig.User(1)), reader(t, r, 3), reader(t, r, 2)
	r.Exec(t, `update auth_user set is_active = false where id = 1`)
	wantClosed(t, c, 4501, "user not active")
	wantClosed(t, plain, 4501, "user not active")
	r.Exec(t, `update auth_user set company_id = 1 where id = 3`)
	wantClosed(t, moved, 4003, "grants_changed: another tenant")
	again := reader(t, r, 3)
	document(t, r, "sales")
	wantTeams(t, again, "sales")
	r.Exec(t, `delete from auth_user where id = 3`)
	wantClosed(t, again, 4501, "user not active")
	if f := other.Ask(`{"type":"ping"}`); f["type"] != "pong" {
		t.Fatalf("somebody else got %v", f)
	}
}

// TestEverybody: a table without a user's column concerns all, and so does TRUNCATE.
func TestEverybody(t *testing.T) {
	t.Parallel()
	r := newGrants(t)
	join(t, r, 2, 1)
	one, two := reader(t, r, 1), reader(t, r, 2)
	r.Exec(t, `update auth_group set name = 'export' where id = 1`)
	wantResync(t, one)
	wantResync(t, two)
	document(t, r, "sales")
	document(t, r, "export")
	wantTeams(t, one, "export")
	wantTeams(t, two, "export")
	r.Exec(t, `truncate auth_user_groups`)
	wantResync(t, one)
	wantResync(t, two)
	document(t, r, "export")
	if f := one.Ask(`{"type":"ping"}`); f["type"] != "pong" {
		t.Fatalf("after truncate: %v", f)
	}
}

// TestGrantsOfPlain: an endpoint without frames of its own is closed, to fetch afresh and come back without a cursor.
func TestGrantsOfPlain(t *testing.T) {
	t.Parallel()
	r := newGrants(t)
	plain := r.Plain(t, "/ws/documents", rig.User(1))
	path := r.Events(t, "/sse/documents", rig.User(1))
	post := r.Subscribe(t, rig.User(1), `{"ref":"d","channel":"documents"}`)
	if f := post.Frame(); f["type"] != "subscribed" {
		t.Fatalf("want subscribed, got %v", f)
	}
	document(t, r, "sales")
	if f := post.Frame(); f["type"] != "document_changed" {
		t.Fatalf("want the document, got %v", f)
	}
	part(t, r, 1, 1)
	wantClosed(t, plain, 4005, "resync: grants_changed")
	if code, reason := path.Closed(); code != 4005 || reason != "resync: grants_changed" || path.ID != "live" {
		t.Errorf("closed with %d %q, to come back with %q", code, reason, path.ID)
	}
	if f := post.Frame(); f["type"] != "resync" || f["reason"] != "grants_changed" {
		t.Fatalf("want a resync, got %v", f)
	}
	document(t, r, "sales")
	join(t, r, 1, 2)
	if f := post.Frame(); f["type"] != "resync" {
		t.Fatalf("want a resync and nothing of what was taken away, got %v", f)
	}
}
