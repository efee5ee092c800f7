package source

import (
	"math/rand/v2"
	"slices"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// Where each of many ticks has its place: before the oldest change that it does not see.
func TestUnseen(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		f := New(Options{Handler: silent{}})
		var ticks []*tick
		open := []uint64{}
		next := uint64(100)
		for pos := range uint64(60) {
			switch rng.IntN(4) {
			case 0: // a transaction begins
				open = append(open, next)
				next++
			case 1: // one ends, and had a change
				if len(open) > 0 {
					i := rng.IntN(len(open))
					f.recent[identity{xid: open[i]}] = pos + 1
					open = slices.Delete(open, i, i+1)
				}
			case 2: // a tick
				s := &change.Snapshot{Xmin: next, Xmax: next, Xip: slices.Clone(open)}
				if len(open) > 0 {
					s.Xmin = open[0]
				}
				ticks = append(ticks, &tick{snapshot: s, xid: next})
				next++
			}
		}
		if len(ticks) == 0 {
			continue
		}
		f.history.end = 100
		want, left := make([]uint64, len(ticks)), 0
		for i, k := range ticks {
			want[i] = 100
			for id, pos := range f.recent {
				if !k.snapshot.Over(id.xid) {
					want[i] = min(want[i], pos)
				}
			}
		}
		for id := range f.recent {
			if !ticks[len(ticks)-1].snapshot.Over(id.xid) {
				left++
			}
		}
		if got := f.unseen(ticks); !slices.Equal(got, want) || len(f.recent) != left {
			t.Fatalf("got %d and %d left, want %d and %d", got, len(f.recent), want, left)
		}
	}
}

// However long no tick comes, what is remembered is bounded, and the first tick after it is a place to go on from.
func TestForgetful(t *testing.T) {
	t.Parallel()
	f := New(Options{Handler: silent{}})
	f.floor = &change.Snapshot{Xmin: 10, Xmax: 10}
	sweep := &change.Snapshot{Xmin: 700_000, Xmax: 700_000}
	for xid := range uint64(maxRecent + 2*maxForgotten) {
		f.remember(identity{xid: 100 + xid}, xid, sweep)
	}
	if len(f.recent) != maxRecent || len(f.forgotten) != maxForgotten || !f.forgetful() {
		t.Fatalf("%d remembered, %d forgotten", len(f.recent), len(f.forgotten))
	}
	f.settle([]*tick{{snapshot: &change.Snapshot{Xmin: 600_000, Xmax: 600_000}}})
	if len(f.recent) != 0 || len(f.forgotten) != 0 || !f.forgetful() {
		t.Fatalf("%d remembered, %d forgotten", len(f.recent), len(f.forgotten))
	}
	f.settle([]*tick{{snapshot: sweep}})
	if f.forgetful() {
		t.Fatal("a tick that sees all changes nothing")
	}
}
