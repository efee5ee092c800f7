package bridge_test

import (
	"testing"

	"nalar.internal/rowfeed/test/rig"
)

// The newest events first come, as many as are asked for, in their order, of those that one may see.
func TestRewind(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig.Rig) {
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
		sweptBy(t, r, 2)
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
	sweptBy(t, r, 1)
	c := r.Full(t, rig.User(1))
	if f := c.Ask(`{"type":"subscribe","ref":"a","channel":"items","resource":"items","key":3,"rewind":9}`); f["resumed"] != false {
		t.Fatalf("got %v", f)
	}
	wantItems(t, c, "3=1", "3=2")
}
