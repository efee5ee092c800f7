package source

import (
	"cmp"
	"math"
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

const (
	fast    = 3 * time.Millisecond   // between two sweeps while nobody rings: a few milliseconds late at the most
	span    = 250 * time.Millisecond // over which the rate of transactions is taken
	briskly = time.Second            // of fast sweeps after the door was opened: nearly all that was open has ended then
	suspect = 10 * time.Second       // of sweeps at the pace of poll after a notification that did not come
)

// Tempo says when a channel is busy. The defaults: from 200 transactions a second on, which is where sweeping all the time
// costs no more than a sweep for each, until fewer than 50, and for a second at the least.
type Tempo struct {
	From, Until float64 // transactions with changes, a second
	Least       time.Duration
}

func (t Tempo) orDefault() Tempo {
	return Tempo{cmp.Or(t.From, 200), cmp.Or(t.Until, 50), cmp.Or(t.Least, time.Second)}
}

// Mode is how a feed learns that there is something to sweep.
type Mode int32

// The modes of a feed.
const (
	Quiet     Mode = iota // each commit rings
	Busy                  // this node leads: it sweeps all the time and rings for the others
	Following             // another node leads, and rings
	Silenced              // commits don't ring, and nobody leads: the lock is somebody else's, or the queue is over half full
	Lingering             // commits ring again, but for transactions that were open when they began to
	Polling               // commits never ring here
)

// Modes are the names of all modes, each at its number.
var Modes = [...]string{"quiet", "busy", "following", "silenced", "lingering", "polling"}

func (m Mode) String() string { return Modes[m] }

// pace decides how soon to sweep without having been rung for. The sweeping goroutine alone uses it.
type pace struct {
	tempo   Tempo
	rate    float64   // transactions with changes a second, those of long ago counting less
	at      time.Time // of rate
	since   time.Time // when the channel became busy; zero: it is not
	silent  bool      // commits may not have rung
	awaited *change.Snapshot
	doubt   time.Time // until when it is doubted that commits ring
}

// signs are what is known before a sweep begins of whether commits ring. It may become untrue while the sweep runs; what
// it says of the sweep's snapshot stays true: where commits rang before, they rang when it was taken.
type signs struct {
	at     time.Time
	stance stance
	brisk  bool // the door was opened just now
	led    bool // another node has rung, or a lock that we held may not be gone yet
	shut   bool // a capture would not ring
}

func (s signs) silent() bool { return s.stance != away || s.brisk || s.led || s.shut }

// busy counts transactions and tells whether they come so fast that a node should lead.
func (p *pace) busy(now time.Time, transactions int) bool {
	p.rate = p.rate*math.Exp(-now.Sub(p.at).Seconds()/span.Seconds()) + float64(transactions)/span.Seconds()
	p.at = now
	switch {
	case p.since.IsZero() && p.rate >= p.tempo.From:
		p.since = now
	case !p.since.IsZero() && p.rate < p.tempo.Until && now.Sub(p.since) >= p.tempo.Least:
		p.since = time.Time{}
	}
	return !p.since.IsZero()
}

// next returns what mode the feed is in, and when to sweep next, after a sweep with that snapshot.
//
// When commits begin to ring again, transactions that are open may have kept silent, and will not ring when they commit.
// The first sweep that began afterwards has them in its snapshot (see opens); sweeping goes on until it is seen that all
// have ended.
// One that stays open for hours costs a sweep each 100 ms, as a channel does where nothing rings ever.
func (p *pace) next(s signs, seen *change.Snapshot) (Mode, time.Duration) {
	switch {
	case s.silent():
		p.silent = true
	case p.silent:
		p.silent, p.awaited = false, seen
	}
	if p.awaited != nil && p.awaited.Outlived(seen) {
		p.awaited = nil
	}
	switch {
	case s.stance == leading || s.stance == trying:
		return Busy, fast
	case s.brisk:
		return Lingering, fast
	case s.stance == following || s.led:
		return Following, poll
	case s.shut:
		return Silenced, poll
	case p.awaited != nil:
		return Lingering, poll
	case s.at.Before(p.doubt):
		return Quiet, poll
	}
	return Quiet, heartbeat
}

// opens tells that the next sweep will be the first one since commits ring again. A snapshot names no transaction that is
// newer than the last that has ended; so one has to end before that sweep begins.
func (p *pace) opens(s signs) bool { return p.silent && !s.silent() }

// lost forgets whom it waits for: the next connection may be to a server with other transactions. What is open there when it
// begins is waited for, the first time too: who was at the door meanwhile, and may be gone again, is not known.
func (p *pace) lost() { p.awaited, p.silent = nil, true }
