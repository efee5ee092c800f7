package source

import "testing"

// A slot is hot once nothing is left that may have written to another one, and not beyond the ring's turn.
func TestHeat(t *testing.T) {
	t.Parallel()
	f := &Feed{turn: turn{slot: -1}}
	for i, step := range []struct {
		slot int
		prev snapshot
		hot  bool
	}{
		{0, snapshot{xmin: 100, xmax: 100}, false},                          // first seen
		{0, snapshot{xmin: 100, xmax: 105, xip: []uint64{100}}, false},      // sure: from 105 on
		{0, snapshot{xmin: 100, xmax: 110, xip: []uint64{100}}, false},      // 100 may have written elsewhere
		{0, snapshot{xmin: 104, xmax: 110, xip: []uint64{104, 107}}, false}, // so may 104
		{0, snapshot{xmin: 107, xmax: 110, xip: []uint64{107}}, true},       // 107 can't
		{1, snapshot{xmin: 107, xmax: 111, xip: []uint64{107}}, false},      // the ring has turned
		{1, snapshot{xmin: 107, xmax: 112, xip: []uint64{107}}, false},      // sure: from 112 on
		{1, snapshot{xmin: 112, xmax: 112}, true},                           //
		{0, snapshot{xmin: 120, xmax: 120}, false},                          // the clock went back
		{7, snapshot{xmin: 120, xmax: 120}, false}, {-1, snapshot{}, false}, // no slot
		{0, snapshot{xmin: 120, xmax: 120}, false}, {0, snapshot{xmin: 120, xmax: 120}, true}, // seen, sure, nothing in progress
	} {
		prev := step.prev
		f.prev = &prev
		f.heat(step.slot)
		if (f.hot != nil) != step.hot {
			t.Errorf("step %d: hot %v", i, f.hot != nil)
		}
	}
}
