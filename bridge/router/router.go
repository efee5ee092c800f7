// Package router finds who receives an event: topic and audience lead by hash look-ups to the subscriptions concerned,
// so that an event costs as much as it has receivers, however many sessions are connected.
//
// A Channel is used by one routing goroutine and by any number of sessions that come and go. Its lock is held while an
// event is handed out; sinks must therefore never wait, and must not call back.
//
// A subscription that begins with something of the past (Resume) is in an index of its own until it is live. Two
// goroutines of the channel (Replay) take all such subscriptions together through the feed's memory, and, for what is
// older, through the outbox, in steps for each of which the lock is taken. A sink that has no room is left where it is
// until it has. Once nothing is left between a subscription and what is being routed, it changes over to the live index
// under the same lock; events of changes that it has been sent are passed over by their position.
//
//	resume ──► finding ──► reading (memory) ──► live
//	              └──► asking ──► paging (outbox) ──┘ reading
//	rewind ──► rewinding (memory, backwards) ──► reading
//	              └──► digging (outbox, backwards) ──┘
package router

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

// Sink is a session as the router sees it. No method may block or call the router.
type Sink interface {
	// Send queues a finished message and sees to it that it is written.
	Send(*change.Message)
	// Queue does the same, but what it has queued may lie until the channel's wake function is called.
	Queue(*change.Message)
	// Offer queues a message of the past where there is room for it, as Queue does, and tells whether there was. If not,
	// the channel's Room is called when there is.
	Offer(m *change.Message, c *Channel) bool
	// Resync tells that what was delivered of the subscription is void.
	Resync(n change.Notice, subscription string)
	// Slow ends the session: it has fallen too far behind, and can come back with its cursor.
	Slow()
	// Failed ends the session, whose method panicked. It holds the lock of nobody.
	Failed(panicked any)
}

// Request says what a subscription is for. Resource empty is the whole channel; Keyed false is every row.
type Request struct {
	Ref      string // the client's name for it; may be empty
	Resource string
	Keyed    bool
	Key      string // canonical, see change.KeyText
	Where    []Condition
}

// Condition is one field of a subscription's where: the field's JSON scalar must be among the values.
type Condition struct {
	Field  string
	Values map[string]struct{} // as Scalar makes them
}

// name is an interned string with a count of its users, so that index keys are two pointers.
type name struct {
	text string
	refs int
}

type place struct{ topic, grant *name }

// entry is one subscription in the list of a place; grant is the position in its member's grants.
type entry struct {
	sub   *Subscription
	grant int32
}

// member is what one sink has in the channel; seq and bits collect what the event at hand means for it.
type member struct {
	sink    Sink
	grants  []*name
	subs    []*Subscription
	replays int32 // subscriptions that are not live yet
	early   int32 // of them, those that do not read from memory yet: the others wait
	seq     uint64
	bits    uint8
	stalled bool   // its sink has no room of the past
	even    bool   // its replays are all at one place, so that what they are sent may carry a cursor
	step    uint64 // of which alike and first are
	first   *replay
	alike   int32
	newer   uint64 // but none that is older than their own: from this position on
}

// Subscription is one registered request; Close ends it.
type Subscription struct {
	channel *Channel
	member  *member
	req     Request
	topic   *name
	at      []int32          // position in the list of each of the member's grants
	replay  *replay          // nil: live
	from    uint64           // position of the first change that is live
	since   *change.Snapshot // what it resumed from, and brought all that followed; nil where it did not
	began   int64            // microseconds of the Unix epoch
	first   uint64           // position of the first change that was routed after it was registered
}

// notice is what a subscription, or a replay, is told once of many changes that are there together: whoever then fetches
// afresh has them all.
type notice struct {
	sub              *Subscription
	resource, reason string
}

// Channel is the subscription index of one channel.
type Channel struct {
	name    string
	any     bool  // rules with tenant: any
	tenants bool  // rules with a tenant
	rules   int32 // added to the numbers of rules
	wake    func()

	mu      sync.Mutex
	topics  map[string]*name
	grants  map[string]*name
	index   map[place][]entry // of live subscriptions
	past    map[place][]entry // of those that are still replaying
	members map[Sink]*member
	pending int    // subscriptions that are not live yet
	pos     uint64 // place of the next event to be routed: of its change, and in it
	nth     int
	cursor  string        // before which everything was routed
	fresh   []*replay     // to be looked for in memory
	lost    []*replay     // to be looked for, or read, in the outbox
	active  []*replay     // that read from memory
	rewinds []*replay     // that look back
	replays chan struct{} // rung when there is work for Run
	outbox  chan struct{} // likewise for its reader of the outbox
	seq     uint64
	touched []*member
	told    map[notice]bool // in the sweep at hand
	topic   []byte
	run     run

	routed    atomic.Uint64
	delivered atomic.Uint64
	waiting   atomic.Int32 // routing goroutines that wait for mu
	Resumes   Resumes
}

// channels counts the channels made: a sink that is in several of them tells their rules apart by number, so that an
// event of one is not taken for a newer one of another.
var channels atomic.Int32

// NewChannel makes an empty index. Grants of a form (any tenant, one tenant) that no rule uses are not indexed. wake is
// called after messages were queued, without a lock.
func NewChannel(channel string, anyTenant, tenants bool, wake func()) *Channel {
	return &Channel{
		name: channel, any: anyTenant, tenants: tenants, rules: channels.Add(1) << 16, wake: wake,
		topics: map[string]*name{}, grants: map[string]*name{},
		index: map[place][]entry{}, past: map[place][]entry{}, members: map[Sink]*member{},
		told: map[notice]bool{}, replays: make(chan struct{}, 1), outbox: make(chan struct{}, 1),
	}
}

// Stats returns how many events were routed and how many messages were handed to sinks since the start.
func (c *Channel) Stats() (routed, delivered uint64) { return c.routed.Load(), c.delivered.Load() }

// Name returns the channel's name.
func (c *Channel) Name() string { return c.name }

// Subscribe registers a request of a sink that holds the scoped grants. The acknowledgement, if there is one, is sent
// before anything that the subscription brings; nothing routed after it is missed.
func (c *Channel) Subscribe(sink Sink, grants []string, req Request, ack *change.Message) *Subscription {
	defer c.wake()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.add(sink, grants, req)
	if ack != nil {
		hand{sink}.send(ack)
	}
	if s.member.replays > 0 {
		c.hold(s) // what it brings of a row has to come after what is replayed of it
		return s
	}
	c.enter(s)
	return s
}

// add makes a subscription that is in no index yet.
func (c *Channel) add(sink Sink, grants []string, req Request) *Subscription {
	c.flush() // by the subscriptions and grants that it was judged by
	m := c.members[sink]
	if m == nil {
		m = &member{sink: sink, grants: c.intern(grants)}
		c.members[sink] = m
	}
	s := &Subscription{channel: c, member: m, req: req, topic: take(c.topics, topicOf(req)), began: time.Now().UnixMicro(), first: c.pos}
	if c.nth > 0 {
		s.first++ // of the change at hand a part has been routed
	}
	m.subs = append(m.subs, s)
	return s
}

// Regrant replaces the grants that a sink's subscriptions are judged by. A sink without subscriptions is left alone.
func (c *Channel) Regrant(sink Sink, grants []string) {
	defer c.wake()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush() // by the subscriptions and grants that it was judged by
	m := c.members[sink]
	if m == nil {
		return
	}
	for _, s := range m.subs {
		c.leave(s)
	}
	old := m.grants
	m.grants = c.intern(grants)
	for _, g := range old {
		drop(c.grants, g)
	}
	for _, s := range m.subs {
		c.enter(s)
		s.since = nil // what it has brought was judged by the grants that are gone
		if r := s.replay; r != nil {
			r.found = nil
			if r.stage > reading { // what lies farther back is not the newest
				r.from.Rewind = 0
			}
		}
	}
}

// Ref returns the client's name of the subscription.
func (s *Subscription) Ref() string { return s.req.Ref }

// Close ends the subscription; it is not called twice.
func (s *Subscription) Close() {
	c, m := s.channel, s.member
	defer c.wake()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush() // by the subscriptions and grants that it was judged by
	c.leave(s)
	if s.replay != nil {
		c.drop(s.replay)
	}
	drop(c.topics, s.topic)
	for i, other := range m.subs {
		if other == s {
			last := len(m.subs) - 1
			m.subs[i], m.subs[last] = m.subs[last], nil
			m.subs = m.subs[:last]
			break
		}
	}
	if len(m.subs) == 0 {
		for _, g := range m.grants {
			drop(c.grants, g)
		}
		delete(c.members, m.sink)
	}
}

// intern returns the names of those grants that a rule of this channel could ask for.
func (c *Channel) intern(grants []string) []*name {
	n := 0
	for _, g := range grants {
		if c.usable(g) {
			n++
		}
	}
	names := make([]*name, 0, n)
	for _, g := range grants {
		if c.usable(g) {
			names = append(names, take(c.grants, g))
		}
	}
	return names
}

func (c *Channel) usable(grant string) bool {
	if strings.HasPrefix(grant, change.AnyTenant+"\x00") {
		return c.any
	}
	return c.tenants
}

// indexOf returns the index that the subscription belongs to.
func (c *Channel) indexOf(s *Subscription) map[place][]entry {
	if s.replay != nil {
		return c.past
	}
	return c.index
}

func (c *Channel) enter(s *Subscription) {
	index := c.indexOf(s)
	s.at = make([]int32, len(s.member.grants))
	for i, g := range s.member.grants {
		p := place{s.topic, g}
		list := index[p]
		s.at[i] = int32(len(list)) //nolint:gosec // subscriptions of one session, which are bounded
		index[p] = append(list, entry{s, int32(i)})
	}
}

func (c *Channel) leave(s *Subscription) {
	index := c.indexOf(s)
	for i, g := range s.member.grants {
		p := place{s.topic, g}
		list := index[p]
		last := len(list) - 1
		moved := list[last]
		list[s.at[i]] = moved
		moved.sub.at[moved.grant] = s.at[i]
		list[last] = entry{}
		if last == 0 {
			delete(index, p)
			continue
		}
		index[p] = list[:last]
	}
}

func take(names map[string]*name, text string) *name {
	n := names[text]
	if n == nil {
		n = &name{text: strings.Clone(text)}
		names[n.text] = n
	}
	n.refs++
	return n
}

func drop(names map[string]*name, n *name) {
	if n.refs--; n.refs == 0 {
		delete(names, n.text)
	}
}

// topicOf is the text by which a request is found: the channel, a resource, or a resource's row.
func topicOf(r Request) string {
	if r.Keyed {
		return r.Resource + "\x00" + r.Key
	}
	return r.Resource
}

// Channel returns the channel that the subscription is in.
func (s *Subscription) Channel() *Channel { return s.channel }
