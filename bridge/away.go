package bridge

import (
	"sync"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
)

// maxAway bounds of how many users it is known when their grants may have changed.
const maxAway = 100_000

// away knows whose grants may have changed since a place in the feed: who comes back with a cursor is sent all that followed
// it, but what they may see since is older, and nobody has told them of what they may not see any more. Where it does not
// know, they may have.
type away struct {
	oldest func() (change.Mark, uint64, bool) // of the control channel's history

	mu    sync.Mutex
	from  *change.Snapshot // what was not over in it is known; nil: nothing is yet
	all   alterations      // of everybody
	users map[string]alterations
}

// alterations are which transactions changed grants: the highest, and whether there were others.
type alterations struct {
	last   uint64
	others bool
}

func (c *alterations) add(xid uint64) {
	c.others = c.others || c.last != 0 && c.last != xid
	c.last = max(c.last, xid)
}

// since tells whether one of them may have ended after a snapshot.
func (c alterations) since(seen *change.Snapshot) bool {
	return c.last != 0 && (!seen.Over(c.last) || c.others && c.last >= seen.Xmin)
}

// note takes down whom a change concerns.
func (a *away) note(xid uint64, whom concerned) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if whom.all || len(a.users)+len(whom.users) > maxAway {
		if a.all.add(xid); !whom.all { // those who are forgotten with it changed before, or at the same time
			for _, c := range a.users {
				a.all.add(c.last)
			}
			clear(a.users)
		}
		return
	}
	for user := range whom.users {
		c := a.users[user]
		c.add(xid)
		a.users[user] = c
	}
}

// begin finds out from where on changes are known: from the oldest place that the feed remembers; a.mu is held.
func (a *away) begin() {
	if m, _, ok := a.oldest(); ok && a.from == nil {
		a.from = m.Snapshot
	}
}

// swept tells that all changes there are have been noted.
func (a *away) swept() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin()
}

// lost tells that changes may be missing.
func (a *away) lost() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.from, a.all = nil, alterations{}
	clear(a.users)
}

// changed tells whether the user's grants may have changed since a snapshot.
func (a *away) changed(who *audience.Identity, seen *change.Snapshot) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin()
	return a.from == nil || seen.Before(a.from) || a.all.since(seen) || a.users[audience.UserKey(who.User)].since(seen)
}
