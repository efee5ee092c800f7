package operate

import (
	"sync/atomic"
	"time"
)

var (
	openFor = describe("outbox_open_seconds",
		"For how long captures would go on if no bridge ran from now on; below 0 they have stopped, and changes are not told.")
	stops = describe("outbox_stops_total", "Times that this node found that captures had stopped, since no bridge had run for long.")
)

// RingStats is how this node sees the outbox's ring.
type RingStats struct {
	Stops atomic.Uint64 // times that captures were found to have stopped

	until atomic.Pointer[time.Time] // by this machine's monotonic clock
}

// Open notes that captures go on for so long without a bridge.
func (s *RingStats) Open(remaining time.Duration) {
	t := time.Now().Add(remaining)
	s.until.Store(&t)
}

// OpenFor returns for how long captures would go on without a bridge; 0 before that is known.
func (s *RingStats) OpenFor() time.Duration {
	if t := s.until.Load(); t != nil {
		return time.Until(*t)
	}
	return 0
}

// Ring sets the counters of the outbox's ring.
func (m *Metrics) Ring(s *RingStats) { m.ring = s }
