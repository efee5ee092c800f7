package router

import (
	"slices"
	"strings"

	"nalar.internal/rowfeed/bridge/change"
)

// What a sink may see of the event at hand.
const (
	sawOld uint8 = 1 << iota
	seesNew
	replays // and part of what came before is still on its way: no cursor is safe
)

// A run is events in sequence that go to the same receivers, each in one variant for all of them: they are joined into
// one message, so that a burst costs a receiver little more than its bytes. It ends with the sweep, or here:
const (
	maxRun      = 64
	maxRunBytes = 32 << 10
)

type run struct {
	members  []*member
	messages []*change.Message
	bytes    int
}

// Route hands an event to everybody who subscribed to it and may see it, in the variant that is theirs, once each, at
// the latest with the next Flush.
func (c *Channel) Route(e *change.Event) {
	c.routed.Add(1)
	if c.route(e) {
		c.wake()
	}
}

// route tells whether it has queued anything.
func (c *Channel) route(e *change.Event) (queued bool) {
	c.waiting.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting.Add(-1)
	if e.Place.Pos != c.pos {
		c.pos, c.nth = e.Place.Pos, 0
	}
	c.nth++
	if len(c.members) == 0 {
		return false
	}
	e.Rule += c.rules
	c.seq++
	c.touched = c.touched[:0]
	c.mark(c.index, e, e.Was, sawOld, nil)
	c.mark(c.index, e, e.Now, seesNew, nil)
	if len(c.touched) == 0 {
		return false
	}
	c.delivered.Add(uint64(len(c.touched)))
	if !uniform(c.touched) {
		c.flush()
		for _, m := range c.touched {
			hand{m.sink}.queue(e.Message(variant(e.Op, m.bits), m.bits&replays == 0))
		}
		return true
	}
	// Before the run's members change: if rendering panics, they are those that its messages were judged for.
	m := e.Message(variant(e.Op, c.touched[0].bits), c.touched[0].bits&replays == 0)
	if !slices.Equal(c.run.members, c.touched) {
		queued = c.flush()
		c.run.members = append(c.run.members, c.touched...)
	}
	c.run.messages = append(c.run.messages, m)
	if c.run.bytes += len(m.Frame()); len(c.run.messages) == maxRun || c.run.bytes >= maxRunBytes {
		queued = c.flush()
	}
	return queued
}

// Flush hands out what Route has held back: nothing more is at hand. next is the position of the next change.
func (c *Channel) Flush(next uint64) {
	c.mu.Lock()
	c.flush()
	c.pos, c.nth = next, 0
	clear(c.told)
	c.mu.Unlock()
	c.wake()
}

func (c *Channel) flush() (queued bool) {
	r := &c.run
	if len(r.messages) == 0 {
		return false
	}
	m := r.messages[0]
	if len(r.messages) > 1 {
		m = change.Join(r.messages)
	}
	m.Shared = len(r.members) > 1
	for _, part := range m.Parts() {
		part.Shared = m.Shared
	}
	for _, to := range r.members {
		hand{to.sink}.queue(m)
	}
	clear(r.members)
	clear(r.messages)
	r.members, r.messages, r.bytes = r.members[:0], r.messages[:0], 0
	return true
}

// uniform tells whether the event at hand means the same for all.
func uniform(members []*member) bool {
	for _, m := range members[1:] {
		if m.bits != members[0].bits {
			return false
		}
	}
	return true
}

// variant chooses the form: who saw the old row and sees the new one hears the event as it happened.
func variant(op change.Op, bits uint8) change.Variant {
	switch bits &^= replays; {
	case op != change.Update || bits == sawOld|seesNew:
		return change.Whole
	case bits == seesNew:
		return change.Enter
	default:
		return change.Leave
	}
}

// mark notes bit at each member that has a subscription to the event in the index, and one of the audience's grants.
// Of the live ones those are left out that were sent the event from the past; of the others those count that the
// record at hand is due for.
func (c *Channel) mark(index map[place][]entry, e *change.Event, audience []string, bit uint8, at *step) {
	if len(audience) == 0 {
		return
	}
	c.topic = append(append(append(c.topic[:0], e.Resource...), 0), e.Key...)
	topics := [3]*name{c.topics[""], c.topics[e.Resource], c.topics[string(c.topic)]}
	for _, a := range audience {
		grant := c.grants[a]
		if grant == nil {
			continue
		}
		for _, topic := range topics {
			if topic == nil {
				continue
			}
			for _, en := range index[place{topic, grant}] {
				if at == nil && e.Place.Pos < en.sub.from || at != nil && !at.due(en.sub.replay) {
					continue
				}
				if len(en.sub.req.Where) > 0 && !matches(en.sub.req.Where, e.Body, bit == sawOld) {
					continue
				}
				c.touch(en.sub.member, bit)
			}
		}
	}
}

func (c *Channel) touch(m *member, bit uint8) {
	if m.seq != c.seq {
		m.seq, m.bits = c.seq, 0
		if m.replays > 0 {
			m.bits = replays
		}
		c.touched = append(c.touched, m)
	}
	m.bits |= bit
}

// Notify tells everybody whom it concerns that what they hold is void.
func (c *Channel) Notify(n change.Notice) {
	defer c.wake()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	held := c.concerned(n)
	for _, m := range c.members {
		if held != nil && !m.holds(held) {
			continue
		}
		for _, s := range m.subs {
			if s.replay != nil {
				c.interrupt(s.replay, n)
				continue
			}
			if n.Resource == "" {
				s.since = nil // something is missing of what it brought
			}
			s.resync(n, c.told)
		}
	}
}

// concerned returns the grants that a notice is for; nil is everybody.
func (c *Channel) concerned(n change.Notice) map[*name]bool {
	if n.Audience == nil && n.Prefixes == nil {
		return nil
	}
	held := make(map[*name]bool, len(n.Audience))
	for _, a := range n.Audience {
		if g := c.grants[a]; g != nil {
			held[g] = true
		}
	}
	for text, g := range c.grants {
		if slices.ContainsFunc(n.Prefixes, func(p string) bool { return strings.HasPrefix(text, p) }) {
			held[g] = true
		}
	}
	return held
}

// resync passes a notice on where it is for the subscription, and it has not been told the same: thousands of them would
// fill its queue.
func (s *Subscription) resync(n change.Notice, told map[notice]bool) {
	if n.Resource != "" && s.req.Resource != "" && s.req.Resource != n.Resource {
		return
	}
	if key := (notice{s, n.Resource, n.Reason}); !told[key] {
		told[key] = true
		hand{s.member.sink}.resync(n, s.req.Ref)
	}
}

func (m *member) holds(grants map[*name]bool) bool {
	for _, g := range m.grants {
		if grants[g] {
			return true
		}
	}
	return false
}
