package bridge

import (
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// TestHush: of many notices of drift in the time between two cursors the first goes out, and one before the cursor stands
// for those that follow; every other notice goes out.
func TestHush(t *testing.T) {
	t.Parallel()
	drift := change.Notice{Resource: "orders", Reason: "drift"}
	var h hush
	for i, want := range []bool{true, false, false} {
		if h.says(drift) != want {
			t.Errorf("notice %d: says %t", i, !want)
		}
	}
	for _, n := range []change.Notice{{Resource: "items", Reason: "drift"}, {Resource: "orders", Reason: "truncated"}, {Reason: "drift"},
		{Resource: "orders", Reason: "rule_error", Audience: []string{"user:1"}}} {
		if !h.says(n) {
			t.Errorf("%v is held", n)
		}
	}
	for round, want := range []int{1, 0, 0} { // nothing follows in the second
		if list := h.settle(); len(list) != want {
			t.Errorf("cursor %d: %v waits, want %d", round, list, want)
		}
		if round == 0 && h.says(drift) {
			t.Error("what was told with a cursor is told again in the time that begins")
		} else if round == 0 {
			if list := h.settle(); len(list) != 1 {
				t.Errorf("what was held is lost: %v", list)
			}
		}
	}
	if !h.says(drift) {
		t.Error("after a quiet time the first notice is held")
	}
}
