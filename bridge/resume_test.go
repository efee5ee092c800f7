package bridge_test

import (
	"context"
	"fmt"
	"testing"

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

// missed returns what is missing between the events that a client gets and all changes of the rows.
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
