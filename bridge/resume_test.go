package bridge_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/test/rig"
)

// What was missed comes after `subscribed`, once, then what is live: from memory, and, after a restart of the bridge,
// from memory that was filled from the outbox.
func TestResume(t *testing.T) {
	t.Parallel()
	r := rig.New(t, resumeTable, resumeItems)
	cursor := place(t, r)
	late := r.Conn(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := late.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`begin`)
	exec(`update item set n = 100 where id = 1`)
	r.Exec(t, `update item set n = 200 where id = 2`)
	r.Exec(t, `update item set n = 300, owner = 2 where id = 3`)
	for i, restart := range []bool{false, true} {
		if restart {
			r.Stop()
			r.Start(t)
		}
		c := r.Full(t, rig.User(1))
		if f := subscribe(t, c, cursor); f["type"] != "subscribed" || f["resumed"] != true {
			t.Fatalf("want resumed, got %v", f)
		}
		want := map[string]bool{"2=200": true, "3": true}
		if i == 1 {
			want["1=100"] = true
			want["4=400"] = true
		}
		for len(want) > 0 {
			f := c.Next()
			name := fmt.Sprint(f["resource_id"])
			if f["op"] == "update" {
				name = fmt.Sprintf("%v=%v", f["resource_id"], f["data"].(map[string]any)["n"])
			}
			if f["resource_id"].(fmt.Stringer).String() == "50" {
				continue // what the cursor does not vouch for yet
			}
			if !want[name] {
				t.Fatalf("got %v, want %v", f, want)
			}
			delete(want, name)
		}
		if i == 0 {
			exec(`commit`)
			r.Exec(t, `update item set n = 400 where id = 4`)
			wantItems(t, c, "1=100", "4=400")
		} else {
			r.Exec(t, `update item set n = 500 where id = 5`)
			wantItems(t, c, "5=500")
		}
	}
}

// A session with several subscriptions to one channel hears of an event once, also when they resume.
func TestResumeTogether(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig.Rig) {
		cursor := place(t, r)
		for range 30 {
			r.Exec(t, `update item set n = n + 1`)
		}
		c := r.Full(t, rig.User(1))
		for _, what := range []string{`"ref":"a"`, `"ref":"b","resource":"items"`, `"ref":"c","resource":"items","key":3`,
			`"ref":"d","where":{"owner":1}`} {
			c.Say(fmt.Sprintf(`{"type":"subscribe","channel":"items","cursor":%q,%s}`, cursor, what))
		}
		r.Exec(t, `update item set n = n + 1`)
		s := series{t, map[string]int{"3": 0}, map[string]bool{}}
		for answers := 0; answers < 4 || s.last["3"] < 31 || s.last["49"] < 31; {
			f := c.Next()
			if f["type"] == "subscribed" {
				answers++
				continue
			}
			s.take(f)
		}
		c.Say(`{"type":"ping"}`)
		for f := c.Next(); f["type"] != "pong"; f = c.Next() {
			s.take(f)
		}
	})
}

// Where the past can't be told, that is said, and what is live goes on.
func TestResumeRefused(t *testing.T) {
	t.Parallel()
	r := small(t, resumeTable, resumeItems)
	c := r.Full(t, rig.User(1))
	c.Ask(`{"type":"subscribe","ref":"a","channel":"items"}`)
	cursor := newest(t, r, c, "")
	for range 1200 {
		r.Exec(t, `update item set n = n + 1 where id = 1`)
	}
	newest(t, r, c, cursor)
	_ = c.CloseNow()
	refused := func(cursor, reason string) {
		t.Helper()
		c := r.Full(t, rig.User(1))
		if f := subscribe(t, c, cursor); f["type"] != "subscribed" || f["resumed"] != false {
			t.Fatalf("want refused, got %v", f)
		}
		if f := c.Next(); f["type"] != "resync" || f["reason"] != reason || f["ref"] != "a" || f["channel"] != "items" {
			t.Fatalf("want resync %s, got %v", reason, f)
		}
		r.Exec(t, `update item set n = n + 1 where id = 7`)
		for f := c.Next(); fmt.Sprint(f["resource_id"]) != "7"; f = c.Next() { // the feed may be behind
		}
		if ce := r.Plain(t, "/ws/items?cursor="+cursor, rig.User(1)).Closed(); ce.Code != 4005 || ce.Reason != "resync: "+reason {
			t.Errorf("plain: got %v", ce)
		}
	}
	parts := strings.Split(cursor, ":")
	refused("made-up", "cursor_expired")
	refused(parts[0]+"x:"+parts[1]+":"+parts[2], "other_epoch")
	refused(parts[0]+":"+parts[1]+":00000000", "cursor_expired")
	r.Exec(t, `update rowfeed.installation set horizon = pg_snapshot_xmax(pg_current_snapshot()), swept = pg_current_snapshot()`)
	refused(cursor, "cursor_expired")
}

// What was told of a row that a TRUNCATE took away is void, also for who was away.
func TestResumeTruncated(t *testing.T) {
	t.Parallel()
	r := rig.New(t, resumeTable, resumeItems)
	cursor := place(t, r)
	r.Exec(t, `update item set n = 1 where id = 1`)
	r.Exec(t, `truncate item`)
	r.Exec(t, `insert into item values (1, 2, 1)`)
	c := r.Full(t, rig.User(1))
	subscribe(t, c, cursor)
	for f := c.Next(); fmt.Sprint(f["resource_id"]) == "50"; f = c.Next() {
	}
	if f := c.Next(); f["type"] != "resync" || f["reason"] != "truncated" || f["resource"] != "items" || f["ref"] != "a" {
		t.Fatalf("got %v", f)
	}
	wantItems(t, c, "1=2")
	if ce := r.Plain(t, "/ws/items?cursor="+cursor, rig.User(1)).Closed(); ce.Code != 4005 || ce.Reason != "resync: truncated" {
		t.Errorf("plain: got %v", ce)
	}
}

// A reader that takes nothing for a while is sent what it missed when it does, in bounded memory, and is not closed for
// having missed much.
func TestResumeSlowly(t *testing.T) {
	t.Parallel()
	r := rig.New(t, resumeTable, resumeItems)
	cursor := place(t, r)
	r.Exec(t, `do $$ begin for i in 1..1000 loop update item set n = n + 1 where id <> 50; end loop; end $$`)
	other := r.Plain(t, "/ws/items/items/50", rig.User(1))
	r.Exec(t, `update item set n = 999 where id = 50`)
	wantItems(t, other, "50=999") // the feed is through
	c := r.Plain(t, "/ws/items/items?cursor="+cursor, rig.User(1))
	for n := range 100 { // while the replay waits for its reader
		r.Exec(t, `update item set n = $1 where id = 50`, 1000+n)
		wantItems(t, other, fmt.Sprintf("50=%d", 1000+n))
	}
	s := series{t, map[string]int{}, map[string]bool{}}
	for s.last["49"] < 1000 || s.last["50"] < 1099 {
		f := c.Next()
		if fmt.Sprint(f["resource_id"]) == "50" && s.last["50"] < 999 {
			delete(s.last, "50")
		}
		s.take(f)
	}
}

// What one subscription of a session brings of a row comes after what another one has yet to replay of it.
func TestResumeOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig.Rig) {
		cursor := place(t, r)
		other := r.Plain(t, "/ws/items/items/50", rig.User(1))
		r.Exec(t, `do $$ begin for i in 1..400 loop update item set n = n + 1 where id <> 50; end loop; end $$`)
		r.Exec(t, `update item set n = 999 where id = 50`)
		wantItems(t, other, "50=999") // the feed is through
		c := r.Full(t, rig.User(1))
		c.Say(`{"type":"subscribe","ref":"live","channel":"items","resource":"items","key":5}`)
		c.Say(fmt.Sprintf(`{"type":"subscribe","ref":"all","channel":"items","cursor":%q}`, cursor))
		c.Say(`{"type":"subscribe","ref":"later","channel":"items","resource":"items","key":6}`)
		s := series{t, map[string]int{"6": 0}, map[string]bool{}}
		for answers := 0; answers < 3; { // what the first brings before the second begins comes again
			if f := c.Next(); f["type"] == "subscribed" {
				answers++
			} else if fmt.Sprint(f["resource_id"]) != "50" {
				s.take(f)
			}
		}
		for range 100 {
			r.Exec(t, `update item set n = n + 1 where id in (5, 6)`)
		}
		for s.last["5"] < 500 || s.last["6"] < 500 {
			if f := c.Next(); f["type"] != "subscribed" && fmt.Sprint(f["resource_id"]) != "50" {
				s.take(f)
			}
		}
	})
}

// A row of several megabytes arrives whole, live and replayed, from memory and from the outbox.
func TestResumeLargeRow(t *testing.T) {
	t.Parallel()
	const size = 3_000_000
	r := rig.New(t, `create table doc (id int primary key, body text)`, `
  docs:
    class: lossless
    rules:
      - {table: doc, event: doc_changed, resource: docs, columns: [id, body], audience: ["role:all"]}
`)
	c := r.Plain(t, "/ws/docs", rig.User(1, "all"))
	r.Exec(t, `insert into doc select i, repeat('x', 10) from generate_series(1, 3) i`)
	whole := func(c *rig.Client, id string) {
		t.Helper()
		for {
			f := c.Next()
			if fmt.Sprint(f["resource_id"]) != id || f["op"] != "update" {
				continue
			}
			if body := f["data"].(map[string]any)["body"].(string); len(body) != size || strings.Trim(body, "ä") != "" {
				t.Fatalf("row %s: %d bytes", id, len(body))
			}
			return
		}
	}
	var cursor string
	for cursor == "" { // of a tick before the large rows
		r.Exec(t, `update doc set body = body || 'y' where id = 3`)
		cursor, _ = c.Next()["cursor"].(string)
	}
	for _, id := range []string{"1", "2"} { // one after the other: together they may be more than a queue holds
		r.Exec(t, `update doc set body = repeat('ä', $1) where id = $2::text::int`, size/2, id)
		whole(c, id)
	}
	c = r.Plain(t, "/ws/docs?cursor="+cursor, rig.User(1, "all"))
	whole(c, "1")
	whole(c, "2")
	r.Stop()
	r.Options = []bridge.Option{bridge.WithHistory(1)}
	r.Start(t)
	c = r.Plain(t, "/ws/docs?cursor="+cursor, rig.User(1, "all"))
	whole(c, "1")
	whole(c, "2")
}
