package bridge_test

import (
	"fmt"
	"strconv"
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

// place returns a cursor of somebody who was there and has left.
func place(t *testing.T, r *rig.Rig) string {
	t.Helper()
	c := r.Full(t, rig.User(1))
	c.Ask(`{"type":"subscribe","ref":"a","channel":"items"}`)
	cursor := newest(t, r, c, "")
	_ = c.CloseNow()
	return cursor
}

// subscribe resumes from a cursor and returns the answer.
func subscribe(t *testing.T, c *rig.Client, cursor string) map[string]any {
	t.Helper()
	return c.Ask(`{"type":"subscribe","ref":"a","channel":"items","cursor":%q}`, cursor)
}

// sweptBy waits until the bridge has read all that was committed: item 50 is the user's.
func sweptBy(t *testing.T, r *rig.Rig, user int) {
	t.Helper()
	c := r.Plain(t, "/ws/items/items/50", rig.User(user))
	r.Exec(t, `update item set n = -1 where id = 50`)
	for fmt.Sprint(c.Next()["data"].(map[string]any)["n"]) != "-1" {
		continue
	}
	_ = c.CloseNow()
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

// small has the bridge remember no more than a chunk, so that nearly all comes from the outbox.
func small(t *testing.T, sql, channels string) *rig.Rig {
	t.Helper()
	r := rig.Prepare(t, sql, channels)
	r.Options = []bridge.Option{bridge.WithHistory(1)}
	r.Start(t)
	return r
}

// each runs a test where the past is read from memory, and where it is read from the outbox.
func each(t *testing.T, test func(*testing.T, *rig.Rig)) {
	t.Helper()
	for name, start := range map[string]func(*testing.T, string, string) *rig.Rig{
		"memory": func(t *testing.T, sql, channels string) *rig.Rig { return rig.New(t, sql, channels) }, "outbox": small,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, resumeTable, resumeItems))
		})
	}
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
