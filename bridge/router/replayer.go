package router

import (
	"context"
	"math"
	"runtime"
	"slices"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/change"
)

// Memory is what a feed remembers; see source.History.
type Memory interface {
	End() uint64
	Find(c change.Cursor) (m change.Mark, from, newer uint64, ok, foreign bool)
	Oldest() (m change.Mark, from uint64, ok bool)
	Read(from uint64, dst []*change.Record, places []change.Place) (n int, ok bool)
}

// Outbox is what is older than that; see source.Outbox. One goroutine uses it.
type Outbox interface {
	Lookup(ctx context.Context, cursors []change.Cursor) ([]*change.Mark, error)
	Next(ctx context.Context, after change.Mark) (next change.Mark, ok bool, err error)
	Page(ctx context.Context, after, until change.Mark, lsn, xid uint64, take func([]*change.Record) bool) (more bool, err error)
	Older(ctx context.Context, before change.Mark, xid, lsn uint64, n int, take func([]*change.Record) bool) (more bool, err error)
	Close(ctx context.Context)
}

// Output takes what a change of the past comes to.
type Output interface {
	Event(e *change.Event)
	Notice(n change.Notice)
}

// Past is where a channel's replays read.
type Past struct {
	Memory Memory
	Outbox Outbox
	Gone   error // of the outbox: what was asked for is no longer there
	// Apply gives out the events of a record, as they were routed.
	Apply func(at change.Place, r *change.Record, out Output)
	Log   *zap.Logger
}

// Bounds of the work that is done while the channel's lock is held.
const (
	stepChanges  = 64
	stepMessages = 2048
)

const (
	rewindChanges = 50_000 // how far back a rewind looks at the most
	linger        = 10 * time.Second
)

// Replayer works for one of a channel's two goroutines of the past: its step is what the channel's lock is held for.
type Replayer struct {
	c     *Channel
	past  Past
	at    step
	parts []*replay       // of the step at hand
	back  bool            // the step looks back
	told  map[notice]bool // in the step
	door  door            // of the outbox
	last  change.Cursor   // after which there was no place
	dry   string          // when this was what had been settled
	after change.Mark     // before the page at hand

	records [stepChanges]*change.Record
	places  [stepChanges]change.Place
}

// Replay brings subscriptions up to what is live until ctx ends.
func (c *Channel) Replay(ctx context.Context, past Past) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&Replayer{c: c, past: past}).readOutbox(ctx)
	}()
	defer func() { cancel(); <-done }()
	p := &Replayer{c: c, past: past}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.replays:
		}
		began := time.Now()
		for more := true; more; p.yield() {
			looked := p.lookBack(ctx)
			more = p.read() || looked
		}
		// Those who come in the meantime share the next pass; and the feed has the processor too.
		pause(ctx, min(2*time.Since(began), 100*time.Millisecond))
	}
}

// yield lets the routing goroutine have the lock.
func (p *Replayer) yield() {
	p.c.wake()
	for p.c.waiting.Load() > 0 {
		runtime.Gosched()
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// find looks in memory for the places of those that are new.
func (p *Replayer) find() {
	c := p.c
	fresh := c.fresh
	c.fresh = nil
	for _, r := range fresh {
		if r.gone() {
			continue
		}
		m, from, newer, ok, foreign := p.past.Memory.Find(r.from.Cursor)
		switch {
		case r.from.Cursor.Epoch == "": // made up
			c.refuse(r, "cursor_expired")
		case foreign:
			c.refuse(r, "other_epoch")
		case ok:
			c.Resumes.Memory.Add(1)
			c.resume(r, m.Snapshot)
			c.read(r, m.Snapshot, from)
			r.newer = newer
		default:
			r.stage = asking
			c.lost = append(c.lost, r)
			ring(c.outbox)
		}
	}
}

// begin makes the list of those that take part in a step, and finds out whose messages may carry a cursor.
func (p *Replayer) begin(list []*replay) []*replay {
	p.at.sent = 0
	if clear(p.told); p.told == nil {
		p.told = map[notice]bool{}
	}
	list = slices.DeleteFunc(list, func(r *replay) bool {
		if r.sub.member.stalled && (r.stage == reading || r.stage == paging) {
			r.full = true // also one that came later, and could go live before the others are through
		}
		return r.idle()
	})
	p.c.seq++
	for _, r := range list {
		m := r.sub.member
		if r.part = r.stage != reading || m.early == 0; !r.part {
			continue // it is ahead of another that is not in memory yet
		}
		if m.step != p.c.seq {
			m.step, m.first, m.alike, m.newer = p.c.seq, r, 0, 0
		}
		m.newer = max(m.newer, r.newer)
		if r.stage == paging && r.mark.Cursor != p.after.Cursor {
			m.newer = max(m.newer, 1) // the page's cursor is older than its own
		}
		if f := m.first; r.pos == f.pos && r.nth == f.nth && r.lsn == f.lsn && r.xid == f.xid && r.mark.Cursor == f.mark.Cursor {
			m.alike++
		}
		m.even = m.alike == m.replays
	}
	p.parts = list
	return list
}

// end ends a step.
func (p *Replayer) end() {
	for _, r := range p.parts {
		r.part = false
	}
	p.parts = nil
}

// take applies a record.
func (p *Replayer) take(at change.Place, r *change.Record) {
	p.at.record, p.at.place, p.at.nth = r, at, 0
	p.past.Apply(at, r, p)
}

// read takes a step through memory; false when nobody reads there any more.
func (p *Replayer) read() bool {
	c := p.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush() // what is live and was held back comes first
	p.find()
	c.active = p.begin(c.active)
	defer func() {
		p.end()
		c.active = slices.DeleteFunc(c.active, (*replay).idle)
	}()
	if !p.sendFound() {
		return true
	}
	from := uint64(math.MaxUint64)
	for _, r := range c.active {
		if r.part && !r.full {
			from = min(from, r.pos)
		}
	}
	if from == math.MaxUint64 {
		return false
	}
	n, ok := p.past.Memory.Read(from, p.records[:], p.places[:])
	if !ok { // gone while it waited for its reader
		for _, r := range c.active {
			if r.part && r.pos == from {
				hand{r.sub.member.sink}.slow()
				c.live(r, 0)
			}
		}
		return true
	}
	done := 0
	for done < n && p.at.sent < stepMessages {
		p.take(p.places[done], p.records[done])
		done++
	}
	next := from + uint64(done)
	for _, r := range c.active {
		switch {
		case !r.part || r.full || r.gone():
		case r.pos < next:
			r.pos, r.nth = next, 0
			fallthrough
		default:
			if n < stepChanges && done == n && r.pos == next {
				c.live(r, next)
			}
		}
	}
	return true
}

// sendFound sends what those who looked back have found; false when there is more of it than a step may send.
func (p *Replayer) sendFound() bool {
	for _, r := range p.c.active {
		m := r.sub.member
		for len(r.found) > 0 && r.part && !r.full {
			if p.at.sent >= stepMessages {
				return false
			}
			last := len(r.found) - 1
			if !(hand{m.sink}).offer(r.found[last].message, p.c) {
				p.stall(m)
				break
			}
			p.at.sent++
			r.found = r.found[:last]
		}
	}
	return true
}
