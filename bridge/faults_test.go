package bridge

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nalar.internal/rowfeed/bridge/rule"
)

// A rule that fails all the time is logged now and then, with how often; it doesn't hide another, nor another failure of
// its own.
func TestFaultLog(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	var l faultLog
	now := time.Unix(1_790_000_000, 0)
	for n := range 3_000 {
		now = now.Add(10 * time.Millisecond)
		f := rule.Fault{Channel: "c", Table: "public.t", Event: "e", Rule: 0, Kind: rule.FaultCondition, Err: errors.New("why")}
		l.note(zap.New(core), f, now)
		if n%100 == 1 {
			f.Rule = 1
			l.note(zap.New(core), f, now)
			f.Kind = rule.FaultAudience
			l.note(zap.New(core), f, now)
		}
	}
	type said struct {
		rule   int64
		kind   string
		silent int64
	}
	got := map[said]int{}
	for _, e := range logs.All() {
		m := e.ContextMap()
		got[said{m["rule"].(int64), m["kind"].(string), m["suppressed"].(int64)}]++
	}
	want := map[said]int{
		{0, "condition", 0}: 1, {0, "condition", 999}: 2,
		{1, "condition", 0}: 1, {1, "condition", 9}: 2,
		{1, "audience", 0}: 1, {1, "audience", 9}: 2,
	}
	for s, n := range want {
		if got[s] != n {
			t.Errorf("%+v: logged %d times, want %d", s, got[s], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("logged %v", got)
	}
}
