package source

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/change"
)

// A commit that rings (NOTIFY) waits for every other one that does. So captures ring only while nobody is at the door: each
// tries the door's lock (change.DoorKey), shared, and leaves NOTIFY out where that fails. It fails while somebody holds the
// lock exclusively, or waits for it. The one at the door is the channel's leader.
//
//	          many transactions            has the leader's lock: sweeps all the time
//	  quiet ─────────────────────► away ──────────────────────────────────► trying ──► leading
//	    ▲                           │ ▲                                     waits for    has the
//	    │ all that were open        │ │ lock free again                     the door's   door's
//	    │ then have ended           ▼ │                                     lock         lock
//	lingering ◄──── few        following                                       │           │
//	    ▲                      another leads, and rings                        │           │
//	    └──────────────────────────────────────────────────── few ◄────────────┴───────────┘
//
// Invariants:
//
//   - A wake-up is only ever about when. Whatever this machine does wrong, the sweep of the next second finds what there is.
//   - At most one node of a channel leads: it holds the leader's lock (change.LeaderKey), which no trigger tries. Only then
//     does it touch the door's, in tries of a few milliseconds, since a statement that waits holds a snapshot; one that
//     waits silences the captures as one that has the lock does. So a transaction that has the lock, shared, for hours
//     keeps nobody from being silent.
//   - Both locks are of one session, which says something each half second and has nothing else to do. They go with it. The
//     server ends it when it has been silent for a few seconds, whatever became of the node or the network.
//   - Who sweeps because commits don't ring goes on, after they ring again, until all transactions have ended that were open
//     then: they may have left out their NOTIFY. Fast for a second, then each 100 ms.
//   - Nobody takes a lock whose session may not be their own: the listener has heard its canary, and the backend's number is
//     the one that the client was given.
//   - What can be forged is harmless: a ring that says it is the leader's has a node sweep ten times a second for a while. The
//     rate that makes a channel busy is of transactions that were found, not of rings.
//
// What happens when:
//
//	leader killed, or its session       the locks go with it, commits ring again; the others sweep at poll's pace for a while
//	leader frozen, its network half open its session ends after 5 s of silence; the others sweep at poll's pace until then
//	leader's sweeps stall               after 2 s it opens the door
//	two nodes want to lead              one has the leader's lock, the other follows: it is rung for, and tries again
//	a long transaction                  see above
//	somebody else holds the lock        each second a probe does as captures do; then it is at poll's pace. Who: logged, metric
//	the queue is over half full         likewise; the leader rings for nobody, and no canary is sent
//	the server's table of locks is full captures don't ring, probes fail: likewise
//	a listener hears nothing            the node never leads; its heartbeat finds changes
//	no connection is left for a leader  the channel stays quiet: commits ring
const (
	tryTime    = 20 * time.Millisecond  // waiting for the door's lock, at a time
	ringEvery  = 10 * time.Millisecond  // for other nodes, at the most
	renewal    = 500 * time.Millisecond // of the session, and of the others' knowledge
	followTime = 250 * time.Millisecond // between tries of the leader's lock
	silence    = 5 * time.Second        // after which the server ends the session
	ledTime    = 3 * time.Second        // how long a leader's ring says that there is one
	othersTime = 3 * canaryEvery        // how long a canary says that there is another node
	stall      = 2 * time.Second        // without a sweep, after which a leader opens the door
)

// leaderMark begins the payload of a leader's ring; the node's name follows.
const leaderMark = "leader:"

// stance is where a node stands to the door.
type stance int32

const (
	away      stance = iota
	following        // another one leads
	trying           // has the leader's lock, and waits for the door's
	leading          // has both
)

// door is what the sweeping goroutine and the one that leads know of each other.
type door struct {
	f      *Feed
	node   string // random: its own rings mean nothing to it
	wake   chan struct{}
	found  chan struct{} // for the others to hear of
	stance atomic.Int32
	wanted atomic.Bool // the channel is busy

	proven             atomic.Int64 // the listener's connection that has heard a canary
	brisk, led, others atomic.Int64 // until when, nanoseconds from began
	shut               atomic.Bool
	moved              chan struct{} // the stance is another one
}

func newDoor(f *Feed) *door {
	return &door{f: f, node: rand.Text(), wake: make(chan struct{}, 1), found: make(chan struct{}, 1), moved: make(chan struct{}, 1)}
}

// signal sends where nobody has yet.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// until moves a time forward.
func until(at *atomic.Int64, d time.Duration) {
	next := int64(time.Since(began) + d)
	for old := at.Load(); old < next && !at.CompareAndSwap(old, next); {
		old = at.Load()
	}
}

func (d *door) signs(now time.Time) signs {
	ns := int64(now.Sub(began))
	return signs{
		at: now, stance: stance(d.stance.Load()), brisk: ns < d.brisk.Load(), led: ns < d.led.Load(), shut: d.shut.Load(),
	}
}

// stand notes where the node stands now, and has the sweeping goroutine know.
func (d *door) stand(s stance) {
	if stance(d.stance.Swap(int32(s))) != s {
		signal(d.moved)
	}
}

// attended tells whether this node sweeps without being rung for.
func (d *door) attended() bool { return stance(d.stance.Load()) >= trying }

// want has the node lead or not.
func (d *door) want(busy bool) {
	if busy && !d.wanted.Load() && !d.mayLead() {
		return
	}
	if d.wanted.Swap(busy) != busy {
		signal(d.wake)
	}
}

// mayLead tells whether the database's sessions are what they seem: where a pooler stands between, a lock could stay behind
// in a session that nobody has any more.
func (d *door) mayLead() bool {
	f := d.f
	return f.o.Wake == "auto" && !f.polling && f.Stats.Listening.Load() && (f.o.Notify == nil || d.proven.Load() == f.line.Load())
}

// heard takes a leader's ring. It tells whether it is another node's.
func (d *door) heard(node string) bool {
	if node == d.node {
		return false
	}
	until(&d.led, ledTime)
	return true
}

// tell has the leader ring for the others, where there are any.
func (d *door) tell() {
	if d.attended() {
		signal(d.found)
	}
}

// alone tells whether no other node has sent a canary for a while.
func (d *door) alone() bool { return int64(time.Since(began)) > d.others.Load() }

// run attends the door while that is wanted, until ctx ends.
func (d *door) run(ctx context.Context) {
	var wait backoff
	for ctx.Err() == nil {
		if !d.wanted.Load() {
			select {
			case <-ctx.Done():
			case <-d.wake:
			}
			continue
		}
		if d.f.Stats.SinceSweep() > stall {
			rest(ctx, followTime)
			continue
		}
		err := d.attend(ctx, &wait)
		if err == nil || ctx.Err() != nil {
			continue
		}
		d.f.o.Log.Warn("not leading the channel: commits notify meanwhile", zap.String("channel", d.f.o.Channel), zap.Error(err))
		wait.sleep(ctx)
	}
}

// keys are those of the door's lock and the leader's.
func (d *door) keys() (doorKey, leaderKey int64) {
	return change.DoorKey(d.f.o.Schema, d.f.o.Channel), change.LeaderKey(d.f.o.Schema, d.f.o.Channel)
}
