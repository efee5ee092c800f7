package source

import (
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// A slot is hot once nothing is left that may have written to another one, and not beyond the ring's turn.
func TestHeat(t *testing.T) {
	t.Parallel()
	f := &Feed{turn: turn{slot: -1}}
	for i, step := range []struct {
		slot int
		prev change.Snapshot
		hot  bool
	}{
		{0, change.Snapshot{Xmin: 100, Xmax: 100}, false},                                 // first seen
		{0, change.Snapshot{Xmin: 100, Xmax: 105, Xip: []uint64{100}}, false},             // sure: from 105 on
		{0, change.Snapshot{Xmin: 100, Xmax: 110, Xip: []uint64{100}}, false},             // 100 may have written elsewhere
		{0, change.Snapshot{Xmin: 104, Xmax: 110, Xip: []uint64{104, 107}}, false},        // so may 104
		{0, change.Snapshot{Xmin: 107, Xmax: 110, Xip: []uint64{107}}, true},              // 107 can't
		{1, change.Snapshot{Xmin: 107, Xmax: 111, Xip: []uint64{107}}, false},             // the ring has turned
		{1, change.Snapshot{Xmin: 107, Xmax: 112, Xip: []uint64{107}}, false},             // sure: from 112 on
		{1, change.Snapshot{Xmin: 112, Xmax: 112}, true},                                  //
		{0, change.Snapshot{Xmin: 120, Xmax: 120}, false},                                 // the clock went back
		{7, change.Snapshot{Xmin: 120, Xmax: 120}, false}, {-1, change.Snapshot{}, false}, // no slot
		{0, change.Snapshot{Xmin: 120, Xmax: 120}, false}, {0, change.Snapshot{Xmin: 120, Xmax: 120}, true}, // seen, sure, nothing in progress
	} {
		prev := step.prev
		f.prev = &prev
		f.heat(step.slot)
		if (f.hot != nil) != step.hot {
			t.Errorf("step %d: hot %v", i, f.hot != nil)
		}
	}
}
