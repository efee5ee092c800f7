package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/test/rig"
)

const resumeTable = `create table item (id int primary key, n int not null default 0, owner int not null default 1);
	insert into item (id) select i from generate_series(1, 50) i`

const resumeItems = `
  items:
    class: lossless
    rules:
      - {table: item, event: item_changed, resource: items, columns: [id, n, owner], audience: ["user:{owner}"]}
`

// newest reads events until one carries another cursor than before, and returns it.
func newest(t *testing.T, r *rig.Rig, c *rig.Client, old string) string {
	t.Helper()
	for n := 0; ; n++ {
		r.Exec(t, `update item set n = n + 1 where id = 50`)
		if cursor, _ := c.Next()["cursor"].(string); cursor != "" && cursor != old {
			return cursor
		}
	}
}

// subscribe resumes from a cursor and returns the answer.
func subscribe(t *testing.T, c *rig.Client, cursor string) map[string]any {
	t.Helper()
	return c.Ask(`{"type":"subscribe","ref":"a","channel":"items","cursor":%q}`, cursor)
}

func wantItems(t *testing.T, c *rig.Client, items ...string) {
	t.Helper()
	for _, want := range items {
		f := c.Next()
		if f["type"] != "item_changed" {
			t.Fatalf("want item %s, got %v", want, f)
		}
		if got := fmt.Sprintf("%v=%v", f["resource_id"], f["data"].(map[string]any)["n"]); got != want {
			t.Fatalf("want %s, got %s", want, got)
		}
	}
}

// What was missed comes after `subscribed`, once, then what is live: from memory, and, after a restart of the bridge,
// from memory that was filled from the outbox.
func TestResume(t *testing.T) {
	t.Parallel()
	r := rig.New(t, resumeTable, resumeItems)
	c := r.Full(t, rig.User(1))
	c.Ask(`{"type":"subscribe","ref":"a","channel":"items"}`)
	cursor := newest(t, r, c, "")
	_ = c.CloseNow()
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
		c = r.Full(t, rig.User(1))
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

// small has the bridge remember no more than a chunk, so that nearly all comes from the outbox.
func small(t *testing.T, sql, channels string) *rig.Rig {
	t.Helper()
	r := rig.Prepare(t, sql, channels)
	r.Options = []bridge.Option{bridge.WithHistory(1)}
	r.Start(t)
	return r
}

// series checks that the events of each row count up by one, in order, whatever comes between.
type series struct {
	t    *testing.T
	last map[string]int
	ids  map[string]bool
}

func (s *series) take(f map[string]any) {
	s.t.Helper()
	if f["type"] != "item_changed" {
		s.t.Fatalf("want an event, got %v", f)
	}
	id := f["id"].(string)
	if s.ids[id] {
		s.t.Fatalf("twice on one connection: %v", f)
	}
	s.ids[id] = true
	row := fmt.Sprint(f["resource_id"])
	n, _ := strconv.Atoi(fmt.Sprint(f["data"].(map[string]any)["n"]))
	if last, ok := s.last[row]; ok && n != last+1 {
		s.t.Fatalf("row %s: %d after %d", row, n, last)
	}
	s.last[row] = n
}

// Far more than memory holds, a transaction of more than a page, a late commit: from the outbox, in pages from tick to
// tick, to several readers of which one is slow, and on into what is live. Nobody misses anything, nobody is sent
// anything twice.
func TestResumeFromOutbox(t *testing.T) {
	t.Parallel()
	r := small(t, resumeTable, resumeItems)
	c := r.Full(t, rig.User(1))
	c.Ask(`{"type":"subscribe","ref":"a","channel":"items"}`)
	cursor := newest(t, r, c, "")
	_ = c.CloseNow()
	late := r.Conn(t)
	if _, err := late.Exec(t.Context(), `begin; update item set n = n + 1 where id = 7`); err != nil {
		t.Fatal(err)
	}
	r.Exec(t, `do $$ begin for i in 1..100 loop update item set n = n + 1 where id <> 7; end loop; end $$`)
	for range 60 {
		r.Exec(t, `update item set n = n + 1 where id <> 7`)
	}
	r.Exec(t, `select rowfeed.tick()`)
	if _, err := late.Exec(t.Context(), `commit`); err != nil {
		t.Fatal(err)
	}
	r.Exec(t, `update item set n = n + 1`)
	clients := make([]*rig.Client, 4)
	for i := range clients {
		clients[i] = r.Full(t, rig.User(1))
		if f := subscribe(t, clients[i], cursor); f["type"] != "subscribed" || f["resumed"] != true {
			t.Fatalf("want resumed, got %v", f)
		}
	}
	r.Exec(t, `update item set n = n + 1`)
	for _, c := range clients { // the first reads while the others' queues are full
		s := series{t, map[string]int{}, map[string]bool{}}
		for row := 1; row <= 50; row++ {
			if row != 50 { // the rows' values at the cursor: 50 has had others since
				s.last[strconv.Itoa(row)] = 0
			}
		}
		for s.last["7"] < 3 || s.last["49"] < 162 || s.last["50"] < 163 {
			s.take(c.Next())
		}
	}
	if m := r.Metrics(t); !strings.Contains(m, `rowfeed_router_resumes_total{channel="items",source="outbox"} 4`) {
		t.Error("not from the outbox")
	}
}

// A session with several subscriptions to one channel hears of an event once, also when they resume.
func TestResumeTogether(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, string, string) *rig.Rig{
		"memory": func(t *testing.T, sql, channels string) *rig.Rig { return rig.New(t, sql, channels) }, "outbox": small,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, resumeTable, resumeItems)
			c := r.Full(t, rig.User(1))
			c.Ask(`{"type":"subscribe","ref":"a","channel":"items"}`)
			cursor := newest(t, r, c, "")
			_ = c.CloseNow()
			for range 30 {
				r.Exec(t, `update item set n = n + 1`)
			}
			c = r.Full(t, rig.User(1))
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
}

// The newest events first come, as many as are asked for, in their order, of those that one may see.
func TestRewind(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, string, string) *rig.Rig{
		"memory": func(t *testing.T, sql, channels string) *rig.Rig { return rig.New(t, sql, channels) }, "outbox": small,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, resumeTable, resumeItems)
			r.Exec(t, `update item set owner = 2 where id > 40`)
			for n := range 40 {
				r.Exec(t, `update item set n = $1 where id in (3, 4, 44)`, n)
				r.Exec(t, `update item set n = n + 1 where id > 40`)
				r.Exec(t, `select rowfeed.tick()`)
			}
			r.Exec(t, `update item set n = n + 1 where id > 44`)
			for range 60 {
				r.Exec(t, `update item set n = n + 1 where id > 40`)
			}
			c := r.Full(t, rig.User(1))
			if f := c.Ask(`{"type":"subscribe","ref":"a","channel":"items","resource":"items","rewind":5}`); f["resumed"] != false {
				t.Fatalf("got %v", f)
			}
			wantItems(t, c, "4=37", "3=38", "4=38", "3=39", "4=39")
			r.Exec(t, `update item set n = 100 where id = 5`)
			wantItems(t, c, "5=100")
			c.Ask(`{"type":"subscribe","ref":"b","channel":"items","resource":"items","key":3,"rewind":2}`)
			wantItems(t, c, "3=38", "3=39")
			if f := c.Ask(`{"type":"subscribe","ref":"c","channel":"items","resource":"items","key":11,"rewind":2}`); f["type"] != "subscribed" {
				t.Fatalf("got %v", f)
			}
			r.Exec(t, `update item set n = 101 where id = 11`)
			wantItems(t, c, "11=101")
		})
	}
}

// The changes of a row come in their order, also those of a transaction that began earlier and changed it later.
func TestRewindOrder(t *testing.T) {
	t.Parallel()
	r := small(t, resumeTable, resumeItems)
	late := r.Conn(t)
	for _, sql := range []string{`begin`, `update item set n = 1 where id = 5`} {
		if _, err := late.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	r.Exec(t, `update item set n = 1 where id = 3`)
	for _, sql := range []string{`update item set n = 2 where id = 3`, `commit`} {
		if _, err := late.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for range 60 {
		r.Exec(t, `update item set n = n + 1 where id > 30`)
		r.Exec(t, `select rowfeed.tick()`)
	}
	c := r.Full(t, rig.User(1))
	if f := c.Ask(`{"type":"subscribe","ref":"a","channel":"items","resource":"items","key":3,"rewind":9}`); f["resumed"] != false {
		t.Fatalf("got %v", f)
	}
	wantItems(t, c, "3=1", "3=2")
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
	c := r.Full(t, rig.User(1))
	c.Ask(`{"type":"subscribe","ref":"a","channel":"items"}`)
	cursor := newest(t, r, c, "")
	_ = c.CloseNow()
	r.Exec(t, `update item set n = 1 where id = 1`)
	r.Exec(t, `truncate item`)
	r.Exec(t, `insert into item values (1, 2, 1)`)
	c = r.Full(t, rig.User(1))
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
	c := r.Full(t, rig.User(1))
	c.Ask(`{"type":"subscribe","ref":"a","channel":"items"}`)
	cursor := newest(t, r, c, "")
	_ = c.CloseNow()
	r.Exec(t, `do $$ begin for i in 1..1000 loop update item set n = n + 1 where id <> 50; end loop; end $$`)
	other := r.Plain(t, "/ws/items/items/50", rig.User(1))
	r.Exec(t, `update item set n = 999 where id = 50`)
	wantItems(t, other, "50=999") // the feed is through
	c = r.Plain(t, "/ws/items/items?cursor="+cursor, rig.User(1))
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
	for name, start := range map[string]func(*testing.T, string, string) *rig.Rig{
		"memory": func(t *testing.T, sql, channels string) *rig.Rig { return rig.New(t, sql, channels) }, "outbox": small,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, resumeTable, resumeItems)
			c := r.Full(t, rig.User(1))
			c.Ask(`{"type":"subscribe","ref":"a","channel":"items"}`)
			cursor := newest(t, r, c, "")
			_ = c.CloseNow()
			other := r.Plain(t, "/ws/items/items/50", rig.User(1))
			r.Exec(t, `do $$ begin for i in 1..400 loop update item set n = n + 1 where id <> 50; end loop; end $$`)
			r.Exec(t, `update item set n = 999 where id = 50`)
			wantItems(t, other, "50=999") // the feed is through
			c = r.Full(t, rig.User(1))
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
}

// catchUp reads until the rows 1 and 49 have come to 60, each by ones.
func catchUp(c *rig.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*rig.Limit)
	defer cancel()
	last := map[int]int{}
	for last[1] < 60 || last[49] < 60 {
		_, b, err := c.Read(ctx)
		if err != nil {
			return err
		}
		var f struct{ Data struct{ ID, N int } }
		if err := json.Unmarshal(b, &f); err != nil {
			return err
		}
		switch id, n := f.Data.ID, f.Data.N; {
		case id == 0 || id == 50:
		case n != last[id]+1:
			return fmt.Errorf("row %d: %d after %d", id, n, last[id])
		default:
			last[id] = n
		}
	}
	return nil
}

// Many come back at once, with cursors of several ticks that memory no longer has: a few questions to the database serve
// them all.
func TestResumeStorm(t *testing.T) {
	t.Parallel()
	r := small(t, resumeTable, resumeItems)
	c := r.Full(t, rig.User(1))
	c.Ask(`{"type":"subscribe","ref":"a","channel":"items"}`)
	cursors := []string{newest(t, r, c, "")}
	for len(cursors) < 4 {
		cursors = append(cursors, newest(t, r, c, cursors[len(cursors)-1]))
	}
	_ = c.CloseNow()
	for range 60 {
		r.Exec(t, `update item set n = n + 1 where id < 50`)
	}
	const clients = 40 // of one user: more may not connect
	all := make([]*rig.Client, clients)
	for i := range all {
		all[i] = r.Full(t, rig.User(1))
	}
	for i := range all {
		all[i].Say(fmt.Sprintf(`{"type":"subscribe","ref":"a","channel":"items","cursor":%q}`, cursors[i%len(cursors)]))
	}
	done := make(chan error, clients)
	for _, c := range all { // at the same time: who is not read falls behind and asks alone
		go func() { done <- catchUp(c) }()
	}
	for range all {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	m := r.Metrics(t)
	asked := 0
	for line := range strings.Lines(m) {
		if text, ok := strings.CutPrefix(line, `rowfeed_router_replay_queries_total{channel="items"} `); ok {
			asked, _ = strconv.Atoi(strings.TrimSpace(text))
		}
	}
	if asked == 0 || asked > 100 { // each alone asks five: its place, the next one, what is between, what comes after that
		t.Errorf("%d questions for %d clients", asked, clients)
	}
	if !strings.Contains(m, `rowfeed_router_resumes_total{channel="items",source="outbox"} 40`) {
		t.Error("not from the outbox")
	}
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
	r.Exec(t, `update doc set body = repeat('ä', $1) where id < 3`, size/2)
	whole(c, "1")
	whole(c, "2")
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
