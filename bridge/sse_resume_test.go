package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"nalar.internal/rowfeed/test/rig"
)

// ledger is what a client has heard, as the client's package keeps it: each event once. The n of a row counts its
// changes.
type ledger struct {
	t    *testing.T
	ids  map[string]bool
	last map[string]int64 // the n of each row
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, ids: map[string]bool{}, last: map[string]int64{}}
}

// add notes a frame, which is to be the next one of its row unless it was noted before.
func (l *ledger) add(f map[string]any) {
	l.t.Helper()
	id, row := fmt.Sprint(f["id"]), fmt.Sprint(f["resource_id"])
	if f["type"] != "item_changed" {
		l.t.Fatalf("want an event, got %v", f)
	}
	if l.ids[id] {
		return
	}
	l.ids[id] = true
	n, err := f["data"].(map[string]any)["n"].(json.Number).Int64()
	if err != nil || n != l.last[row]+1 {
		l.t.Fatalf("row %s: %d comes after %d", row, n, l.last[row])
	}
	l.last[row] = n
}

// write changes rows, some of them in transactions that commit late, until ctx ends; then it says how many changes
// there were.
func write(ctx context.Context, t *testing.T, r *rig.Rig) <-chan int {
	t.Helper()
	conn, late := r.Conn(t), r.Conn(t)
	done := make(chan int, 1)
	go func() {
		changes := 0
		for ; ctx.Err() == nil; changes += 6 {
			_, err := late.Exec(context.Background(), `begin`)
			if err == nil {
				_, err = late.Exec(context.Background(), `update item set n = n + 1 where id = 50`)
			}
			for i := range 5 {
				if err == nil {
					_, err = conn.Exec(context.Background(), `update item set n = n + 1 where id = $1`, (changes+i)%49+1)
				}
			}
			if err == nil {
				_, err = late.Exec(context.Background(), `commit`)
			}
			if err != nil {
				t.Errorf("write: %v", err)
				break
			}
		}
		done <- changes
	}()
	return done
}

// An EventSource whose connection breaks again and again, while the bridge is restarted too, comes back with the last
// id and misses nothing.
func TestEventSourceResumes(t *testing.T) {
	t.Parallel()
	r := rig.New(t, resumeTable, resumeItems)
	s := r.Events(t, "/sse/items", rig.User(1))
	if e, err := s.Read(); err != nil || e.Event != "heartbeat" || e.ID == "" {
		t.Fatalf("want a cursor first, got %+v %v", e, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	written := write(ctx, t, r)
	l := newLedger(t)
	for round := range 10 {
		for range rand.IntN(300) {
			l.add(s.Frame())
		}
		s.Drop()
		if round == 4 {
			r.Stop()
			r.Start(t)
		}
		s = r.Events(t, "/sse/items", rig.User(1), "Last-Event-ID", s.ID)
	}
	cancel()
	for total := <-written; len(l.ids) < total; {
		l.add(s.Frame())
	}
}

// So does a streaming fetch, which gives the cursor of a frame in its next body.
func TestStreamingFetchResumes(t *testing.T) {
	t.Parallel()
	r := rig.New(t, resumeTable, resumeItems)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := r.Subscribe(t, rig.User(1), `{"ref":"a","channel":"items"}`)
	if f := s.Frame(); f["type"] != "subscribed" || f["resumed"] != false {
		t.Fatalf("want subscribed, got %v", f)
	}
	written := write(ctx, t, r)
	l := newLedger(t)
	cursor := ""
	read := func() {
		f := s.Frame()
		l.add(f)
		if c, _ := f["cursor"].(string); c != "" {
			cursor = c
		}
	}
	for range 5 {
		for range 1 + rand.IntN(200) {
			read()
		}
		for cursor == "" {
			read()
		}
		s.Drop()
		s = r.Subscribe(t, rig.User(1), fmt.Sprintf(`{"ref":"a","channel":"items","cursor":%q}`, cursor))
		if f := s.Frame(); f["type"] != "subscribed" || f["resumed"] != true {
			t.Fatalf("want resumed, got %v", f)
		}
	}
	cancel()
	for total := <-written; len(l.ids) < total; {
		read()
	}
	s.Drop()
	rewound := r.Subscribe(t, rig.User(1), `{"channel":"items","rewind":3}`)
	if f := rewound.Frame(); f["type"] != "subscribed" {
		t.Fatalf("want subscribed, got %v", f)
	}
	for range 3 {
		if f := rewound.Frame(); !l.ids[fmt.Sprint(f["id"])] {
			t.Errorf("rewind brings what there was not: %v", f)
		}
	}
}

// What an EventSource missed may be many times what its queue holds: it comes at the pace of the reader, whole and in
// order, with what happens meanwhile after it.
func TestEventSourceBacklog(t *testing.T) {
	t.Parallel()
	r := rig.New(t, `create table item (id int primary key, n int not null default 0, body text);
		insert into item select i, 0, repeat('x', 20000) from generate_series(1, 20) i`, `
  items:
    class: lossless
    rules:
      - {table: item, event: item_changed, resource: items, columns: [id, n, body], audience: ["role:all"]}
`)
	s := r.Events(t, "/sse/items", rig.User(1, "all"))
	if e, err := s.Read(); err != nil || e.ID == "" {
		t.Fatalf("want a cursor first, got %+v %v", e, err)
	}
	s.Drop()
	const rounds = 30 // 12 MB
	for range rounds {
		r.Exec(t, `update item set n = n + 1`)
	}
	s = r.Events(t, "/sse/items", rig.User(1, "all"), "Last-Event-ID", s.ID)
	l := newLedger(t)
	for len(l.ids) < 5*20 {
		l.add(s.Frame())
	}
	r.Exec(t, `update item set n = n + 1`)
	for len(l.ids) < 20*(rounds+1) {
		l.add(s.Frame())
	}
}

// Of a cursor that says nothing an EventSource hears that it must fetch afresh, and comes back without it.
func TestEventSourceCannotResume(t *testing.T) {
	t.Parallel()
	r := rig.New(t, resumeTable, resumeItems)
	good := r.Events(t, "/sse/items", rig.User(1))
	if e, err := good.Read(); err != nil || e.ID == "" {
		t.Fatalf("want a cursor first, got %+v %v", e, err)
	}
	for _, header := range []string{"", "elsewhere:1:x"} {
		path := "/sse/items?cursor=elsewhere:1:x"
		if header != "" {
			path = "/sse/items?cursor=" + good.ID // the header wins
		}
		s := r.Events(t, path, rig.User(1), "Last-Event-ID", header)
		if code, reason := s.Closed(); code != 4005 || reason != "resync: other_epoch" {
			t.Errorf("want 4005, got %d %s", code, reason)
		}
		s = r.Events(t, path, rig.User(1), "Last-Event-ID", s.ID)
		if e, err := s.Read(); err != nil || e.Event != "heartbeat" || e.ID == "" {
			t.Errorf("want a cursor, got %+v %v", e, err)
		}
	}
	r.Exec(t, `update item set n = 1 where id = 1`)
	resumed := r.Stream(t, http.MethodGet, "/sse/items?cursor="+good.ID, http.Header{"Authorization": {"Bearer " + rig.User(1)}}, "")
	if f := resumed.Frame(); fmt.Sprint(f["resource_id"]) != "1" {
		t.Errorf("want what was missed, got %v", f)
	}
}
