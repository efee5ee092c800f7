package router

import (
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

// View is how a subscription stands to an event, for an operator who asks.
type View struct {
	Ref      string
	Resource string // empty: the whole channel
	Key      string
	Keyed    bool
	Where    []string // its fields
	Began    time.Time

	Topic    bool // it is for the event's resource and row
	WhereOld bool // the old row meets its where; false where there is no such row
	WhereNew bool
	Old, New bool // the grants that it is judged by now let it see the row, its where apart

	Replaying bool // it has not caught up with what is live
	Resumed   bool // it was sent all that followed a cursor,
	Brought   bool // and the event's transaction is among that
	Routed    bool // the position is known, and all that comes up to it has been handed out
	Late      bool // likewise, and it was registered after that
}

// Judge says how the subscription stands to an event. pos is the position of its change in the feed's memory, 0 where that
// is not known.
func (s *Subscription) Judge(e *change.Event, xid, pos uint64) View {
	c := s.channel
	c.mu.Lock()
	defer c.mu.Unlock()
	v := View{Ref: s.req.Ref, Resource: s.req.Resource, Key: s.req.Key, Keyed: s.req.Keyed, Began: time.UnixMicro(s.began)}
	for _, w := range s.req.Where {
		v.Where = append(v.Where, w.Field)
	}
	v.Topic = s.req.Resource == "" || s.req.Resource == e.Resource && (!s.req.Keyed || s.req.Key == e.Key)
	v.WhereOld = e.Was != nil && matches(s.req.Where, e.Body, true)
	v.WhereNew = e.Now != nil && matches(s.req.Where, e.Body, false)
	v.Old, v.New = s.member.sees(c, e.Was), s.member.sees(c, e.Now)
	v.Replaying = s.replay != nil
	v.Resumed = s.since != nil
	v.Brought = v.Resumed && !s.since.Over(xid)
	v.Routed = pos > 0 && pos < c.pos && len(c.run.messages) == 0
	v.Late = pos > 0 && pos < s.first
	return v
}

// sees tells whether the member holds one of the audience's grants.
func (m *member) sees(c *Channel, audience []string) bool {
	for _, a := range audience {
		g := c.grants[a]
		for _, held := range m.grants {
			if g != nil && held == g {
				return true
			}
		}
	}
	return false
}
