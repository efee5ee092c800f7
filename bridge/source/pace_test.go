package source

import (
	"testing"
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

// TestBusyRate: a steady rate makes a channel busy or not; between the two thresholds it stays what it is.
func TestBusyRate(t *testing.T) {
	t.Parallel()
	p := pace{tempo: Tempo{}.orDefault()}
	now := time.Now()
	run := func(perSecond int, d time.Duration) (busy bool) {
		const step = 10 * time.Millisecond
		due := 0.0
		for range int(d / step) {
			now = now.Add(step)
			due += float64(perSecond) * step.Seconds()
			busy = p.busy(now, int(due))
			due -= float64(int(due))
		}
		return busy
	}
	for i, c := range []struct {
		rate int
		want bool
	}{{0, false}, {100, false}, {150, false}, {400, true}, {100, true}, {70, true}, {20, false}, {100, false}, {5000, true}, {0, false}} {
		if got := run(c.rate, 3*time.Second); got != c.want {
			t.Errorf("step %d, %d transactions a second: busy %v", i, c.rate, got)
		}
	}
	if run(5000, 100*time.Millisecond); !p.busy(now, 0) {
		t.Error("a burst is not seen for long")
	}
	if run(0, 500*time.Millisecond) != true {
		t.Error("busy for less than the least time")
	}
}

// TestNext: what mode and interval follow from where the node stands, and for whom is waited afterwards.
func TestNext(t *testing.T) {
	t.Parallel()
	snapshot := func(text string) *change.Snapshot {
		s, err := change.ParseSnapshot(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p := pace{tempo: Tempo{}.orDefault()}
	at := time.Now()
	for i, c := range []struct {
		signs signs
		seen  string
		mode  Mode
		every time.Duration
	}{
		{signs{}, "10:12:10", Quiet, heartbeat}, // open, and it rings when it commits
		{signs{stance: trying}, "10:12:10", Busy, fast},
		{signs{stance: leading}, "10:15:10,13", Busy, fast},
		{signs{brisk: true}, "10:16:10,13", Lingering, fast},
		{signs{}, "13:18:13,17", Lingering, poll}, // these two may have kept silent
		{signs{}, "17:30:17,29", Lingering, poll},
		{signs{}, "29:40:29", Quiet, heartbeat}, // 29 began later: it rings
		{signs{led: true}, "29:41:29", Following, poll},
		{signs{}, "29:42:29,41", Lingering, poll},
		{signs{shut: true}, "42:50:42", Silenced, poll},
		{signs{}, "51:51:", Quiet, heartbeat},
		{signs{stance: following, shut: true}, "51:51:", Following, poll},
		{signs{}, "52:52:", Quiet, heartbeat},
	} {
		c.signs.at = at
		mode, every := p.next(c.signs, snapshot(c.seen))
		if mode != c.mode || every != c.every {
			t.Errorf("step %d: %v every %v, want %v every %v", i, mode, every, c.mode, c.every)
		}
	}
	p.next(signs{at: at, shut: true}, snapshot("60:70:60"))
	p.next(signs{at: at}, snapshot("60:70:60"))
	p.lost()
	if mode, _ := p.next(signs{at: at}, snapshot("5:6:5")); mode != Lingering {
		t.Errorf("%v after a reconnect while somebody is waited for", mode)
	}
	if mode, _ := p.next(signs{at: at}, snapshot("6:6:")); mode != Quiet {
		t.Errorf("%v: what was open on another server is waited for", mode)
	}
	p.doubt = at.Add(time.Second)
	if mode, every := p.next(signs{at: at}, snapshot("6:6:")); mode != Quiet || every != poll {
		t.Errorf("%v every %v after a missed notification", mode, every)
	}
}
