package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/explain"
	"nalar.internal/rowfeed/test/rig"
)

const lifeTable = `create table item (id int primary key, owner int, body text not null default '')`

const lifeChannels = `
  items:
    class: lossless
    rules:
      - {table: item, event: item_changed, resource: items, columns: [id, owner, body], audience: ["user:{owner}"]}
`

// life is a rig with a client of user 1 who hears of everything in time.
func life(t *testing.T) (*rig.Rig, *rig.Client) {
	t.Helper()
	r := rig.New(t, lifeTable, lifeChannels)
	return r, listener(t, r, 1)
}

func listener(t *testing.T, r *rig.Rig, user int) *rig.Client {
	t.Helper()
	c := r.Full(t, rig.User(user))
	c.Ask(`{"type":"subscribe","ref":"a","channel":"items"}`)
	return c
}

// row is a question about a row of item.
func row(user, key int) explain.Question {
	return explain.Question{User: fmt.Sprint(user), Table: "item", Key: fmt.Sprint(key)}
}

// wantGate asks until the gate decides, and returns its words: sessions end, and queues empty, in their own time.
func wantGate(t *testing.T, r *rig.Rig, q explain.Question, want string) (text string, report *explain.Report) {
	t.Helper()
	got := ""
	for limit := time.Now().Add(rig.Limit); time.Now().Before(limit); {
		report = explained(t, r, q)[0]
		if got, text = decided(report); got == want {
			return text, report
		}
	}
	full, _ := json.MarshalIndent(report, "", " ")
	t.Fatalf("want %s, got %s: %s\n%s", want, got, text, full)
	return "", nil
}

// Who subscribes after the event is told so, unless they came back with a cursor.
func TestExplainLate(t *testing.T) {
	t.Parallel()
	r, _ := life(t)
	before := listener(t, r, 2)
	r.Exec(t, `insert into item (id, owner) values (50, 2)`)
	cursor, _ := before.Next()["cursor"].(string)
	for cursor == "" {
		r.Exec(t, `update item set body = body || 'x' where id = 50`)
		cursor, _ = before.Next()["cursor"].(string)
	}
	_ = before.CloseNow()
	r.Exec(t, `insert into item (id, owner) values (1, 2)`)
	text, _ := wantGate(t, r, row(2, 1), "subscribed no")
	if !strings.Contains(text, "before the event") && !strings.Contains(text, "not subscribed") {
		t.Errorf("of a session that ended: %s", text)
	}
	late := listener(t, r, 2)
	if text, _ = wantGate(t, r, row(2, 1), "subscribed no"); !strings.Contains(text, "after the event") {
		t.Errorf("of a late one: %s", text)
	}
	_ = late.CloseNow()
	back := r.Full(t, rig.User(2))
	if f := back.Ask(`{"type":"subscribe","ref":"a","channel":"items","cursor":%q}`, cursor); f["resumed"] != true {
		t.Fatalf("not resumed: %v", f)
	}
	wantGate(t, r, row(2, 1), "written yes")
}

// A session that ended after the event is told of, with its code.
func TestExplainEnded(t *testing.T) {
	t.Parallel()
	r, _ := life(t)
	c := listener(t, r, 3)
	r.Exec(t, `insert into item (id, owner) values (1, 3)`)
	c.Next()
	_ = c.CloseNow()
	text, report := wantGate(t, r, row(3, 1), "written not known")
	s := report.Changes[0].Rules[0].Sessions
	if len(s) != 1 || s[0].Ended == nil || s[0].Code != 1006 || !strings.Contains(text, "1006") {
		t.Errorf("%+v: %s", s, text)
	}
}

// A session may have had the event by a subscription that it gave up before it ended.
func TestExplainGivenUp(t *testing.T) {
	t.Parallel()
	r, _ := life(t)
	c := listener(t, r, 3)
	r.Exec(t, `insert into item (id, owner) values (1, 3)`)
	c.Next()
	c.Ask(`{"type":"unsubscribe","ref":"b","subscription":"a"}`)
	_ = c.CloseNow()
	if text, _ := wantGate(t, r, row(3, 1), "subscribed not known"); !strings.Contains(text, "given up") {
		t.Error(text)
	}
}

// What a client does not take is found in its queue, and written once it reads.
func TestExplainWaits(t *testing.T) {
	t.Parallel()
	r, ear := life(t)
	c := listener(t, r, 4)
	id := 0
	for waits := false; !waits; {
		if id++; id > 400 {
			t.Fatal("the kernel took 400 messages of 64 KiB that nobody reads")
		}
		r.Exec(t, `insert into item (id, owner, body) values ($1, 4, repeat('x', 65536))`, id)
		r.Exec(t, `insert into item (id, owner) values ($1, 1)`, 1000+id)
		ear.Next()
		gate, text := decided(explained(t, r, row(4, id))[0])
		waits = gate == "written no" && strings.Contains(text, "queue")
	}
	for range id {
		c.Next()
	}
	wantGate(t, r, row(4, id), "written yes")
}

// Who could see the old row only is sent leave, who can see the new one only enter; the report says so.
func TestExplainMove(t *testing.T) {
	t.Parallel()
	r, _ := life(t)
	old, now := listener(t, r, 5), listener(t, r, 6)
	r.Exec(t, `insert into item (id, owner) values (1, 5); update item set owner = 6 where id = 1`)
	old.Next()
	old.Next()
	now.Next()
	for user, word := range map[int]string{5: "leave", 6: "enter"} {
		_, report := wantGate(t, r, row(user, 1), "written yes")
		gates := report.Changes[0].Rules[0].Sessions[0].Gates
		if len(gates) != 4 || !strings.Contains(gates[0].Text, "is sent "+word) {
			t.Errorf("user %d: %+v, want %s", user, gates, word)
		}
	}
	_, report := wantGate(t, r, explain.Question{User: "5", Table: "public.item", Key: "1", Newest: 5}, "written yes")
	if n := len(report.Changes); n != 2 || report.Changes[0].Op != "update" || report.Changes[1].Op != "insert" {
		t.Errorf("%d changes, want the update and the insert", n)
	}
}

// An event is found by its id; one that is not there is told apart by why.
func TestExplainEvent(t *testing.T) {
	t.Parallel()
	r, c := life(t)
	r.Exec(t, `insert into item (id, owner) values (1, 1)`)
	event := c.Next()["id"].(string)
	wantGate(t, r, explain.Question{User: "1", Event: event}, "written yes")

	id, ok := change.ParseID(event)
	if !ok {
		t.Fatalf("id %q", event)
	}
	conn := r.Conn(t)
	xid := func(end string) uint64 {
		var xid uint64
		for _, sql := range []string{"begin", "insert into item (id, owner) values (2, 1)"} {
			if _, err := conn.Exec(context.Background(), sql); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.QueryRow(context.Background(), `select pg_current_xact_id()::text::bigint`).Scan(&xid); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(context.Background(), end); err != nil {
			t.Fatal(err)
		}
		return xid
	}
	for _, tt := range []struct {
		name, epoch string
		xid         uint64
		at          time.Time
		want, words string
	}{
		{"of another server", "zzzz", id.Xid, id.At, "captured no", "another history"},
		{"rolled back", id.Epoch, xid("rollback"), id.At, "captured no", "rolled back"},
		{"old", id.Epoch, 3, id.At.Add(-1000 * time.Hour), "captured not known", "retention"},
		{"mistyped", id.Epoch, id.Xid, id.At.Add(time.Millisecond), "captured no", "copy the id"},
		{"not committed", id.Epoch, xid("select 1"), id.At, "captured no", "not committed"},
	} {
		ch := change.Change{Xid: tt.xid, LSN: id.LSN, At: tt.at}
		text, _ := wantGate(t, r, explain.Question{User: "1", Event: ch.ID(tt.epoch, id.Tag)}, tt.want)
		if !strings.Contains(text, tt.words) {
			t.Errorf("%s: %s, want %q", tt.name, text, tt.words)
		}
	}
	if gate, text := decided(explained(t, r, explain.Question{User: "1", Event: "nonsense"})[0]); gate != "captured no" {
		t.Errorf("no id: %s %s", gate, text)
	}
}

// A trigger that was disabled or dropped is what a row's changes are missing by.
func TestExplainTrigger(t *testing.T) {
	t.Parallel()
	r, _ := life(t)
	r.Exec(t, `alter table item disable trigger "00_rowfeed"; insert into item (id, owner) values (1, 1)`)
	if text, _ := wantGate(t, r, row(1, 1), "captured no"); !strings.Contains(text, "disabled") {
		t.Errorf("disabled: %s", text)
	}
	r.Exec(t, `drop trigger "00_rowfeed" on item`)
	if text, _ := wantGate(t, r, row(1, 1), "captured no"); !strings.Contains(text, "no trigger") {
		t.Errorf("dropped: %s", text)
	}
	r.Exec(t, `alter table item rename to thing`)
	if text, _ := wantGate(t, r, row(1, 1), "captured no"); !strings.Contains(text, "no table") {
		t.Errorf("renamed: %s", text)
	}
}
