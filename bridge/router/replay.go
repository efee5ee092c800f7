package router

import (
	"cmp"
	"slices"
	"sync/atomic"

	"nalar.internal/rowfeed/bridge/change"
)

// From says what of the past a subscription is to begin with.
type From struct {
	Cursor change.Cursor // resume from it; the zero value does not
	Rewind int           // where there is no cursor, or what followed it is gone: the newest events, so many at the most
	// Void tells that what was received up to a snapshot says nothing any more of what may be seen; nil: it always does.
	Void func(seen *change.Snapshot) bool
}

// Past tells whether there is anything to begin with.
func (f From) Past() bool { return f.Cursor.Nonce != "" || f.Rewind > 0 }

// Resumes counts subscriptions with a cursor by how they went on.
type Resumes struct {
	Memory, Outbox atomic.Uint64 // where what they had missed came from
	Refused        atomic.Uint64 // told to fetch afresh
	Rewound        atomic.Uint64
	Replayed       atomic.Uint64 // messages of the past
}

// stage is where a replay is on its way to being live.
type stage uint8

const (
	finding   stage = iota // its place is to be looked for in memory
	asking                 // likewise, in the outbox
	paging                 // it reads from the outbox
	reading                // it reads from memory
	rewinding              // it looks back in memory
	digging                // likewise, in the outbox
)

// replay is what a subscription has before it that is not live yet. It belongs to the channel's lock.
type replay struct {
	sub   *Subscription
	from  From
	ack   func(resumed bool) *change.Message // nil: nothing is to be answered, or it was
	stage stage
	full  bool // the sink has no room
	part  bool // takes part in the step at hand

	seen *change.Snapshot // what is over in it was received; nil: nothing was

	pos   uint64 // reading, and after looking back: of the next change
	newer uint64 // reading: from here on what is read carries cursors that are no older than its own
	nth   int    // how many events of the next change were sent already

	mark, until change.Mark // paging: between two places; until is empty where the next one is not chosen
	lsn, xid    uint64      // of the next change, or before it

	found   []found // rewinding: newest first; then what of it is still to be sent
	dug     int     // how many of them memory had
	bytes   int
	record  *change.Record // whose events were added last
	segment int            // and where they begin
}

// gone tells that the subscription ended, or went live, meanwhile.
func (r *replay) gone() bool { return r.sub.replay != r }

// held tells that the subscription is for what is live, and only waits for others of its sink.
func (r *replay) held() bool { return !r.from.Past() }

// idle tells that there is nothing to do for it until its sink has room.
func (r *replay) idle() bool { return r.gone() || r.full }

// step is the record at hand in a replay.
type step struct {
	record *change.Record
	place  change.Place
	nth    int // of the event, in its change
	sent   int // messages, since the lock was taken
}

// due tells whether the event at hand is among what the replay has yet to send.
func (s *step) due(r *replay) bool {
	if r == nil || !r.part || r.full || r.seen != nil && r.seen.Over(s.record.Xid) {
		return false
	}
	switch r.stage {
	case reading:
		return s.place.Pos > r.pos || s.place.Pos == r.pos && s.nth >= r.nth
	case paging:
		if s.record.LSN == r.lsn && s.record.Xid == r.xid {
			return s.nth >= r.nth
		}
		return s.record.After(r.lsn, r.xid)
	}
	if s.place.Pos > 0 && s.place.Pos >= r.pos && (s.place.Pos > r.pos || s.nth >= r.nth) {
		return false // looking back: it is among what follows
	}
	return r.need() || r.record == s.record // of a change the last events are the newest
}

// found is an event of the past, with the position of its change.
type found struct {
	message *change.Message
	lsn     uint64
}

// order puts what the outbox had, which is read by transaction, into the order of capture: a transaction that began
// earlier may have changed the same row later.
func (r *replay) order() {
	slices.SortStableFunc(r.found[min(r.dug, len(r.found)):], func(a, b found) int { return cmp.Compare(b.lsn, a.lsn) })
}

// need tells whether a rewind has not found enough yet.
func (r *replay) need() bool { return len(r.found) < r.from.Rewind && r.bytes < maxRewindBytes }

// maxRewindBytes bounds what a rewind brings: what a queue has room for.
const maxRewindBytes = 256 << 10

// Resume registers a request that begins with something of the past. It is answered by ack, once, when it is known
// whether that can be told: true where everything since the cursor follows. Where it can't be told the sink gets a
// resync, and what is live. A nil ack is not sent.
func (c *Channel) Resume(sink Sink, grants []string, req Request, from From, ack func(resumed bool) *change.Message) *Subscription {
	defer c.wake()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.add(sink, grants, req)
	for _, other := range s.member.subs {
		if other != s && other.replay == nil && other.req.meets(req) {
			c.leave(other)
			c.hold(other)
		}
	}
	r := &replay{sub: s, from: from, ack: ack}
	c.put(r)
	if from.Cursor.Nonce == "" {
		c.answer(r, false)
		c.rewind(r)
		return s
	}
	c.fresh = append(c.fresh, r)
	ring(c.replays)
	return s
}

// put makes a subscription one that is not live yet.
func (c *Channel) put(r *replay) {
	r.sub.replay = r
	r.sub.member.replays++
	r.sub.member.early++
	r.sub.member.even = false
	c.pending++
	c.enter(r.sub)
}

// hold has a subscription that is in no index wait with what is live until the sink's replays have caught up: changes to
// a row come in their order, whichever of its subscriptions brings them.
func (c *Channel) hold(s *Subscription) {
	r := &replay{sub: s}
	c.put(r)
	c.read(r, nil, max(s.from, c.pos, 1))
	if r.pos == c.pos {
		r.nth = c.nth
	}
}

// meets tells whether an event may be for both requests, but for their where.
func (q *Request) meets(other Request) bool {
	switch {
	case q.Resource == "" || other.Resource == "":
		return true
	case q.Resource != other.Resource:
		return false
	}
	return !q.Keyed || !other.Keyed || q.Key == other.Key
}

// Settle tells before which cursor everything has been routed.
func (c *Channel) Settle(cursor string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cursor = cursor
	if c.pending > 0 { // somebody may wait for a place
		ring(c.replays)
		ring(c.outbox)
	}
}

// Cursor returns the cursor before which the sink was sent everything that it subscribed to; empty where there is none,
// as while a part of it is still on its way.
func (c *Channel) Cursor(sink Sink) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.members[sink]; m == nil || m.replays > 0 {
		return ""
	}
	c.flush() // what is held back lies before the cursor, and has to come before it
	return c.cursor
}

// Room tells that a sink that had none has room again.
func (c *Channel) Room(sink Sink) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[sink]
	if m == nil {
		return
	}
	m.stalled = false
	for _, s := range m.subs {
		if r := s.replay; r != nil && r.full {
			r.full = false
			if r.stage == reading {
				c.active = append(c.active, r)
				ring(c.replays)
			} else {
				ring(c.outbox)
			}
		}
	}
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// answer says how the subscription goes on; c.mu is held.
func (c *Channel) answer(r *replay, resumed bool) {
	if r.ack != nil {
		hand{r.sub.member.sink}.send(r.ack(resumed))
		r.ack = nil
	}
}

// resume answers that all follows that is not over in a snapshot, and tells where that does not make it whole.
func (c *Channel) resume(r *replay, seen *change.Snapshot) {
	s := r.sub
	s.since = seen
	c.answer(r, true)
	if r.from.Void != nil && r.from.Void(seen) {
		hand{s.member.sink}.resync(change.Notice{Channel: c.name, Resource: s.req.Resource, Reason: "grants_changed"}, s.req.Ref)
	}
}

// read has a replay go on in memory.
func (c *Channel) read(r *replay, seen *change.Snapshot, pos uint64) {
	r.sub.member.early--
	r.stage, r.seen, r.pos, r.nth = reading, seen, pos, 0
	c.active = append(c.active, r)
	ring(c.replays)
}

// refuse tells that the past can't be told, and has the subscription go on with what is live, or look back.
func (c *Channel) refuse(r *replay, reason string) {
	c.Resumes.Refused.Add(1)
	c.answer(r, false)
	s := r.sub
	s.since = nil
	hand{s.member.sink}.resync(change.Notice{Channel: c.name, Resource: s.req.Resource, Reason: reason}, s.req.Ref)
	if r.from.Rewind > 0 && r.stage <= asking {
		c.rewind(r)
		return
	}
	c.live(r, 0)
	if s.member.replays > 0 {
		c.leave(s)
		c.hold(s)
	}
}

// interrupt tells a replay of a gap in the feed; what concerns a change it finds by itself.
func (c *Channel) interrupt(r *replay, n change.Notice) {
	if n.Resource == "" && r.stage > asking {
		r.from.Rewind = 0
		c.refuse(r, n.Reason)
	}
}

// rewind has the replay look back from what is routed next: the subscription is answered, and all that comes from there
// on is to follow, however late it is looked back.
func (c *Channel) rewind(r *replay) {
	c.Resumes.Rewound.Add(1)
	r.stage, r.seen = rewinding, nil
	r.pos, r.nth = c.pos, c.nth
	c.rewinds = append(c.rewinds, r)
	ring(c.replays)
}

// live ends a replay: what is routed from a position on comes by itself.
func (c *Channel) live(r *replay, from uint64) {
	c.leave(r.sub)
	c.drop(r)
	r.sub.from = from
	c.enter(r.sub)
}

// drop has a replay be over.
func (c *Channel) drop(r *replay) {
	m := r.sub.member
	r.sub.replay = nil
	m.replays--
	c.pending--
	if r.stage != reading {
		m.early--
		ring(c.replays) // others of the member may have waited for it
	}
}

// Event takes an event of the record at hand to those that it is due for.
func (p *Replayer) Event(e *change.Event) {
	c := p.c
	defer func() { p.at.nth++ }() // also where it can't be rendered: Route counts it too
	e.Rule += c.rules
	e.Place = p.at.place
	c.seq++
	c.touched = c.touched[:0]
	c.mark(c.past, e, e.Was, sawOld, &p.at)
	c.mark(c.past, e, e.Now, seesNew, &p.at)
	for _, m := range c.touched {
		if p.back {
			p.keep(m, e)
		} else if !p.covered(m, e) {
			p.offer(m, e)
		}
	}
}

func (p *Replayer) offer(m *member, e *change.Event) {
	if (hand{m.sink}).offer(e.Message(variant(e.Op, m.bits), m.even && e.Place.Pos >= m.newer), p.c) {
		p.at.sent++
		p.c.Resumes.Replayed.Add(1)
		return
	}
	p.stall(m)
	for _, s := range m.subs {
		if r := s.replay; r != nil && r.part && p.reaches(r) {
			r.pos, r.lsn, r.xid, r.nth = p.at.place.Pos, p.at.record.LSN, p.at.record.Xid, p.at.nth
		}
	}
}

// stall has all of a member's replays that are at hand wait for room: one that went on alone would overtake the others,
// and with a cursor that vouches for what they have yet to bring.
func (p *Replayer) stall(m *member) {
	m.stalled = true
	for _, s := range m.subs {
		if r := s.replay; r != nil && r.part {
			r.full = true
		}
	}
}

// reaches tells that the replay's place is not behind the event at hand: it has no more to bring before that.
func (p *Replayer) reaches(r *replay) bool {
	pos, at := p.at.place.Pos, p.at.record
	switch {
	case r.stage != reading && at.LSN == r.lsn && at.Xid == r.xid, r.stage == reading && pos == r.pos:
		return r.nth <= p.at.nth
	case r.stage != reading:
		return at.After(r.lsn, r.xid)
	}
	return pos > r.pos
}

// keep notes an event for those who look back: newest first, those of one change in reverse.
func (p *Replayer) keep(m *member, e *change.Event) {
	msg := e.Message(variant(e.Op, m.bits), false)
	for _, s := range m.subs {
		r := s.replay
		if !p.at.due(r) || p.c.sees(s, e) == 0 {
			continue
		}
		if r.record != p.at.record {
			r.record, r.segment = p.at.record, len(r.found)
		}
		r.found = slices.Insert(r.found, r.segment, found{msg, r.record.LSN})
		r.bytes += len(msg.Frame())
		if len(r.found) > r.from.Rewind {
			r.bytes -= len(r.found[r.from.Rewind].message.Frame())
			r.found = r.found[:r.from.Rewind]
		}
	}
}

// covered tells whether another of the member's subscriptions has brought the event. Only one counts that has brought
// all of the row's past that those have before them that the event is due for: with what came before it must come
// what came after it, or the last that the client hears of the row is not the newest. So none does that has a where, to
// which a row comes and goes, or that began at a later place.
func (p *Replayer) covered(m *member, e *change.Event) bool {
	if len(m.subs) == 1 {
		return false
	}
	for _, s := range m.subs {
		if s.since == nil || len(s.req.Where) > 0 || p.at.due(s.replay) || s.since.Over(p.at.record.Xid) || p.c.sees(s, e) == 0 {
			continue
		}
		if (s.replay == nil || p.behind(s.replay)) && !slices.ContainsFunc(m.subs, func(o *Subscription) bool {
			return p.at.due(o.replay) && !o.replay.held() && (o.since == nil || o.since.Before(s.since))
		}) {
			return true
		}
	}
	return false
}

// behind tells that the record at hand lies behind the replay.
func (p *Replayer) behind(r *replay) bool {
	switch {
	case r.stage == reading && p.at.place.Pos > 0:
		return p.at.place.Pos < r.pos || p.at.place.Pos == r.pos && p.at.nth < r.nth
	case r.stage == reading: // it may have been through the outbox
		return r.seen != nil && r.seen.Over(p.at.record.Xid)
	case r.stage == paging:
		return r.mark.Snapshot.Over(p.at.record.Xid)
	}
	return false
}

// sees tells what a subscription may see of an event: sawOld, seesNew, both or nothing.
func (c *Channel) sees(s *Subscription, e *change.Event) (bits uint8) {
	if q := &s.req; q.Resource != "" && (q.Resource != e.Resource || q.Keyed && q.Key != e.Key) {
		return 0
	}
	for i, audience := range [...][]string{e.Was, e.Now} {
		if !slices.ContainsFunc(audience, func(a string) bool { g := c.grants[a]; return g != nil && slices.Contains(s.member.grants, g) }) {
			continue
		}
		if len(s.req.Where) == 0 || matches(s.req.Where, e.Body, i == 0) {
			bits |= sawOld << i
		}
	}
	return bits
}

// Notice tells those that the record at hand is due for that what they hold is void.
func (p *Replayer) Notice(n change.Notice) {
	held := p.c.concerned(n)
	for _, r := range p.parts {
		s := r.sub
		if r.gone() || p.back || !p.at.due(r) || held != nil && !s.member.holds(held) {
			continue
		}
		s.resync(n, p.told)
	}
}
