package router

import (
	"context"
	"errors"
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
	parts []*replay   // of the step at hand
	back  bool        // the step looks back
	after change.Mark // before the page at hand

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
			r.sub.since = m.Snapshot
			c.answer(r, true)
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
	list = slices.DeleteFunc(list, (*replay).idle)
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
				r.sub.member.sink.Slow()
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
			if !m.sink.Offer(r.found[last].message, p.c) {
				p.stall(m)
				break
			}
			p.at.sent++
			r.found = r.found[:last]
		}
	}
	return true
}

// lookBack finds the newest events for those who want them, in memory as far as that goes; false when nobody does.
func (p *Replayer) lookBack(ctx context.Context) bool {
	c := p.c
	c.mu.Lock()
	oldest, stop, ok := p.past.Memory.Oldest()
	c.rewinds = slices.DeleteFunc(c.rewinds, (*replay).gone)
	if len(c.rewinds) == 0 || !ok { // until there is a place in memory: the next tick rings
		c.mu.Unlock()
		return false
	}
	list := p.begin(c.rewinds)
	c.rewinds = nil
	end := p.past.Memory.End()
	for _, r := range list {
		r.pos = end
	}
	p.end()
	c.mu.Unlock()

	limit := end - min(end-stop, rewindChanges)
	more := true
	for at := end; at > limit && more && ctx.Err() == nil; {
		first := max(limit, at-min(at, stepChanges))
		c.mu.Lock()
		n, ok := p.past.Memory.Read(first, p.records[:at-first], p.places[:])
		p.back = true
		list = p.begin(list)
		for i := n - 1; i >= 0 && ok; i-- {
			if !oldest.Snapshot.Over(p.records[i].Xid) {
				p.take(p.places[i], p.records[i])
			}
		}
		p.back = false
		p.end()
		more = slices.ContainsFunc(list, (*replay).need)
		c.mu.Unlock()
		p.yield()
		if !ok {
			break
		}
		at = first
		p.read() // who looks far back must not keep those waiting who come back
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range list {
		switch {
		case r.gone():
		case r.need() && limit == stop:
			r.stage, r.mark, r.lsn, r.xid = digging, oldest, math.MaxInt64, oldest.Snapshot.Xmax
			r.dug = len(r.found)
			c.lost = append(c.lost, r)
			ring(c.outbox)
		default:
			c.read(r, nil, r.pos)
		}
	}
	return true
}

// readOutbox serves those whose place is not in memory, until ctx ends.
func (p *Replayer) readOutbox(ctx context.Context) {
	defer func() { p.past.Outbox.Close(context.WithoutCancel(ctx)) }()
	wait := 100 * time.Millisecond
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.c.outbox:
		case <-time.After(linger):
			p.past.Outbox.Close(ctx)
			continue
		}
		for busy := true; busy && ctx.Err() == nil; {
			var err error
			if busy, err = p.turn(ctx); err != nil && ctx.Err() == nil {
				p.past.Log.Warn("replay interrupted, trying again", zap.String("channel", p.c.name), zap.Error(err))
				pause(ctx, wait)
				wait, busy = min(2*wait, 5*time.Second), true
				continue
			}
			wait = 100 * time.Millisecond
			p.yield()
		}
	}
}

// turn does one piece of work; false when there is none.
func (p *Replayer) turn(ctx context.Context) (bool, error) {
	c := p.c
	c.mu.Lock()
	c.lost = slices.DeleteFunc(c.lost, func(r *replay) bool {
		return r.gone() || r.stage != asking && r.stage != paging && r.stage != digging || p.known(r)
	})
	var ask, dig []*replay
	var leader *replay
	for _, r := range c.lost {
		switch {
		case r.stage == asking:
			ask = append(ask, r)
		case r.stage == digging:
			dig = append(dig, r)
		case !r.full && (leader == nil || r.older(leader)):
			leader = r
		}
	}
	c.mu.Unlock()
	// Some of each: however many come with one kind of wish, the others get on.
	busy := len(ask)+len(dig) > 0
	if len(ask) > 0 {
		if err := p.lookup(ctx, ask); err != nil {
			return true, err
		}
	}
	if leader != nil {
		paged, err := p.page(ctx, leader)
		if err != nil {
			return true, err
		}
		busy = busy || paged
	}
	if len(dig) > 0 {
		return true, p.dig(ctx, dig)
	}
	return busy, nil
}

// known has a replay go on in memory where its place is there; c.mu is held.
func (p *Replayer) known(r *replay) bool {
	if r.stage != paging || r.until.Snapshot != nil || r.full {
		return false
	}
	m, from, newer, ok, _ := p.past.Memory.Find(r.mark.Cursor)
	if ok {
		p.c.read(r, m.Snapshot, from)
		r.newer = newer
	}
	return ok
}

// older orders replays that page, the one that is farthest behind first.
func (r *replay) older(than *replay) bool {
	switch {
	case r.mark.Snapshot.Before(than.mark.Snapshot):
		return true
	case than.mark.Snapshot.Before(r.mark.Snapshot):
		return false
	}
	return r.lsn < than.lsn || r.lsn == than.lsn && r.xid < than.xid
}

// lookup asks where cursors are, once for all that have the same.
func (p *Replayer) lookup(ctx context.Context, list []*replay) error {
	var cursors []change.Cursor
	number := map[change.Cursor]int{}
	for _, r := range list {
		if _, ok := number[r.from.Cursor]; !ok {
			number[r.from.Cursor] = len(cursors)
			cursors = append(cursors, r.from.Cursor)
		}
	}
	marks, err := p.past.Outbox.Lookup(ctx, cursors)
	if err != nil {
		return err
	}
	c := p.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range list {
		m := marks[number[r.from.Cursor]]
		switch {
		case r.gone() || r.stage != asking:
		case m == nil:
			c.refuse(r, "cursor_expired")
		default:
			c.Resumes.Outbox.Add(1)
			c.answer(r, true)
			r.stage, r.mark, r.seen, r.sub.since = paging, *m, m.Snapshot, m.Snapshot
		}
	}
	return nil
}

// page reads what follows the leader's place, for all who can go along; false where there is no later place yet.
func (p *Replayer) page(ctx context.Context, leader *replay) (bool, error) {
	c := p.c
	c.mu.Lock()
	after, until, lsn, xid := leader.mark, leader.until, leader.lsn, leader.xid
	c.mu.Unlock()
	if until.Snapshot == nil {
		var ok bool
		var err error
		if until, ok, err = p.past.Outbox.Next(ctx, after); err != nil || !ok {
			return false, err
		}
	}
	c.mu.Lock()
	var list []*replay
	for _, r := range c.lost {
		if r == leader || r.stage == paging && !r.full && r.along(leader, after, until) {
			list = append(list, r)
			r.until = until
		}
	}
	c.mu.Unlock()
	p.after = after
	more, err := p.past.Outbox.Page(ctx, after, until, lsn, before(xid), func(records []*change.Record) bool {
		return p.slice(&list, after, records)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range list {
		switch {
		case r.gone() || r.full:
		case errors.Is(err, p.past.Gone):
			r.from.Rewind = 0
			c.refuse(r, "cursor_expired")
		case err == nil && !more:
			r.mark, r.seen, r.until = until, until.Snapshot, change.Mark{}
			r.lsn, r.xid, r.nth = 0, 0, 0
		}
	}
	if errors.Is(err, p.past.Gone) {
		err = nil
	}
	return true, err
}

// before is what a page that begins with a transaction's change is asked for.
func before(xid uint64) uint64 {
	if xid == 0 {
		return 0
	}
	return xid - 1
}

// along tells whether a page between two places has all that the replay is waiting for up to there.
func (r *replay) along(leader *replay, after, until change.Mark) bool {
	if r.mark.Snapshot.Before(after.Snapshot) {
		return false
	}
	if leader.until.Snapshot == nil { // from the beginning
		return r.until.Snapshot == nil && r.mark.Snapshot.Before(until.Snapshot)
	}
	return r.until.Cursor == until.Cursor && (leader.lsn < r.lsn || leader.lsn == r.lsn && leader.xid <= r.xid)
}

// slice takes a part of a page; false when nobody goes along any more.
func (p *Replayer) slice(list *[]*replay, after change.Mark, records []*change.Record) bool {
	c := p.c
	for from := 0; from < len(records); {
		c.mu.Lock()
		c.flush()
		*list = p.begin(*list)
		if len(*list) == 0 {
			c.mu.Unlock()
			return false
		}
		to := min(len(records), from+stepChanges)
		for ; from < to && p.at.sent < stepMessages; from++ {
			// What lies before the page's first place has been sent to all who are here.
			p.take(change.Place{Epoch: after.Cursor.Epoch, Cursor: after.Cursor.String()}, records[from])
		}
		last := records[from-1]
		for _, r := range *list {
			if !r.full && !r.gone() && last.After(r.lsn, r.xid) {
				r.lsn, r.xid, r.nth = last.LSN, last.Xid+1, 0
			}
		}
		p.end()
		// Who had no room has to read again from there, even if there is room by the time the page goes on.
		*list = slices.DeleteFunc(*list, func(r *replay) bool { return r.full || r.gone() })
		c.mu.Unlock()
		p.yield()
	}
	return true
}

// dig goes on looking back in the outbox.
func (p *Replayer) dig(ctx context.Context, list []*replay) error {
	c := p.c
	first := list[0]
	list = slices.DeleteFunc(list, func(r *replay) bool { return r.mark.Cursor != first.mark.Cursor })
	xid, lsn := first.mark.Snapshot.Xmax, uint64(math.MaxInt64)
	more, needed := true, true
	// Each question begins anew at the transaction where the last one ended, however many changes that one has.
	for looked, n := 0, stepChanges*8; more && needed && looked < rewindChanges; looked, n = looked+n, 2*n {
		var err error
		more, err = p.past.Outbox.Older(ctx, first.mark, xid, lsn, min(n, rewindChanges-looked), func(records []*change.Record) bool {
			for part := range slices.Chunk(records, stepChanges) {
				c.mu.Lock()
				p.back = true
				list = p.begin(list)
				for _, r := range part {
					p.take(change.Place{Epoch: first.mark.Cursor.Epoch}, r)
					xid, lsn = r.Xid, r.LSN
				}
				p.back = false
				p.end()
				needed = slices.ContainsFunc(list, (*replay).need)
				c.mu.Unlock()
				p.yield()
			}
			return needed
		})
		if err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range list {
		if !r.gone() {
			r.order()
			c.read(r, nil, r.pos)
		}
	}
	return nil
}
