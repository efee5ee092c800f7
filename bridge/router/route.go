package router

import "nalar.internal/rowfeed/bridge/change"

// What a sink may see of the event at hand.
const (
	sawOld uint8 = 1 << iota
	seesNew
)

// Route hands an event to everybody who subscribed to it and may see it, in the variant that is theirs, once each.
func (c *Channel) Route(e *change.Event) {
	c.routed.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.members) == 0 {
		return
	}
	e.Rule += c.rules
	c.seq++
	c.touched = c.touched[:0]
	c.mark(e, e.Was, sawOld)
	c.mark(e, e.Now, seesNew)
	for _, m := range c.touched {
		m.sink.Send(e.Message(variant(e.Op, m.bits)))
	}
	c.delivered.Add(uint64(len(c.touched)))
	clear(c.touched)
}

// variant chooses the form: who saw the old row and sees the new one hears the event as it happened.
func variant(op change.Op, bits uint8) change.Variant {
	switch {
	case op != change.Update || bits == sawOld|seesNew:
		return change.Whole
	case bits == seesNew:
		return change.Enter
	default:
		return change.Leave
	}
}

// mark notes bit at each member that has a subscription to the event and one of the audience's grants.
func (c *Channel) mark(e *change.Event, audience []string, bit uint8) {
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
			for _, en := range c.index[place{topic, grant}] {
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
		c.touched = append(c.touched, m)
	}
	m.bits |= bit
}

// Notify tells everybody whom it concerns that what they hold is void.
func (c *Channel) Notify(n change.Notice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var held map[*name]bool
	if n.Audience != nil {
		held = make(map[*name]bool, len(n.Audience))
		for _, a := range n.Audience {
			if g := c.grants[a]; g != nil {
				held[g] = true
			}
		}
	}
	for _, m := range c.members {
		if held != nil && !m.holds(held) {
			continue
		}
		for _, s := range m.subs {
			if n.Resource == "" || s.req.Resource == "" || s.req.Resource == n.Resource {
				m.sink.Resync(n, s.req.Ref)
			}
		}
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
