package session

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/router"
)

// Chosen says which sessions an operator means: those of one user, of every issuer and tenant unless they are given, or
// the one of that id.
type Chosen struct {
	Session        string
	User           string
	Issuer, Tenant *string // nil: any
}

// of tells whether it means a session of who with that id.
func (c *Chosen) of(id, issuer, user, tenant string) bool {
	if c.Session != "" {
		return c.Session == id && (c.User == "" || c.User == user)
	}
	return c.User == user && (c.Issuer == nil || *c.Issuer == issuer) && (c.Tenant == nil || *c.Tenant == tenant)
}

// Info is what an operator may know of a session.
type Info struct {
	ID                   string
	Issuer, User, Tenant string
	Kind                 string // websocket, plain, sse
	Opened               time.Time
	Expires              time.Time
	Grants               []string  // scoped; not to be changed
	Regranted            time.Time // when they last changed while it was open, and what waited was dropped; zero: never
	Subscriptions        []*router.Subscription
	Waiting, Bytes       int       // messages in its queue, and bytes
	Merged               time.Time // when its queue last dropped what newer events replace; zero: never
	Held                 bool      // nothing is written until it is known what it may see now
	Code                 int       // it is being closed with; 0: it is not
	Reason               string
}

// Node is the name of this process in session ids and requests: it differs from process to process.
func (srv *Server) Node() string { return srv.node }

// Find returns the sessions that are meant.
func (srv *Server) Find(c Chosen) []*Session {
	var list []*Session
	if c.Session != "" {
		list = srv.all()
	} else {
		srv.mu.Lock()
		list = slices.Clone(srv.people[audience.UserKey(c.User)])
		srv.mu.Unlock()
	}
	return slices.DeleteFunc(list, func(s *Session) bool {
		who := s.identity()
		return who == nil || !c.of(s.name(), who.Issuer, who.User, who.Tenant)
	})
}

// Inspect says how the session stands.
func (s *Session) Inspect() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	who := s.who
	if who == nil {
		who = &audience.Identity{}
	}
	i := Info{
		ID: s.name(), Issuer: who.Issuer, User: who.User, Tenant: who.Tenant, Kind: "websocket",
		Opened: time.UnixMicro(s.opened), Expires: who.Expires, Grants: who.Grants, Regranted: moment(s.judged),
		Subscriptions: slices.Clone(s.subs), Waiting: s.q.len(), Bytes: s.q.bytes, Merged: moment(s.q.merged),
		Held: s.paused(), Code: s.closing, Reason: s.why,
	}
	switch {
	case s.sse:
		i.Kind = "sse"
	case s.plain:
		i.Kind = "plain"
	}
	return i
}

// moment is a time in microseconds of the Unix epoch, of which 0 is none.
func moment(micro int64) time.Time {
	if micro == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micro)
}

// Waits tells whether the event with that id waits in the session's queue, and how many messages are before it.
func (s *Session) Waits(event string) (before int, waits bool) {
	mark := []byte(`"id":"` + event + `"`)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.q.items[s.q.head:] {
		if bytes.Contains(m.Frame(), mark) {
			return i, true
		}
	}
	return 0, false
}

// Kick closes the sessions that are meant with 4003, so that they come back with what they may see now, and returns how
// many there were.
func (srv *Server) Kick(c Chosen) int {
	list := srv.Find(c)
	for _, s := range list {
		s.Close(closeGrantsChanged, "grants_changed")
	}
	return len(list)
}

// maxEnded is how many ended sessions are remembered.
const maxEnded = 4096

// Ended is a session that is over, as long as it is remembered.
type Ended struct {
	ID                   string
	Issuer, User, Tenant string
	Channels             []string // that it was subscribed to at its end
	Opened, At           time.Time
	Code                 int // 1006: the connection just ended
	Reason               string
}

// ended is a ring of sessions that are over. The zero value is ready to use; it grows with what it holds.
type ended struct {
	mu   sync.Mutex
	ring []Ended
	next int
}

func (e *ended) add(one Ended) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.ring) < maxEnded {
		e.ring = append(e.ring, one)
		return
	}
	e.ring[e.next] = one
	e.next = (e.next + 1) % maxEnded
}

// Past returns the ended sessions that are meant, the newest first, and since when all of them are remembered: the zero
// time is always.
func (srv *Server) Past(c Chosen) (list []Ended, since time.Time) {
	e := &srv.past
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.ring) == maxEnded {
		since = e.ring[e.next].At
	}
	for _, one := range e.ring {
		if c.of(one.ID, one.Issuer, one.User, one.Tenant) {
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Ended) int { return b.At.Compare(a.At) })
	return list, since
}

// channelsOf returns the names of the channels of subscriptions, each once.
func channelsOf(subs []*router.Subscription) []string {
	var names []string
	for _, s := range subs {
		if name := s.Channel().Name(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, strings.Compare)
	return names
}

// Channels returns the names of the channels that it is subscribed to.
func (i *Info) Channels() []string { return channelsOf(i.Subscriptions) }
