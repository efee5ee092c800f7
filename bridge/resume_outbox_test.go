package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"nalar.internal/rowfeed/test/rig"
)

// Far more than memory holds, a transaction of more than a page, a late commit: from the outbox, in pages from tick to
// tick, to several readers of which one is slow, and on into what is live. Nobody misses anything, nobody is sent
// anything twice.
func TestResumeFromOutbox(t *testing.T) {
	t.Parallel()
	r := small(t, resumeTable, resumeItems)
	cursor := place(t, r)
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
