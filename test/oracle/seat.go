package oracle

import (
	"fmt"
	"slices"
	"strconv"
)

// World is the rules of one channel and what has happened so far.
type World struct {
	Channel string
	Rules   []*Rule
	Changes []*Change
	Made    [][]Outcome // of each change
	Seats   []*Seat
}

// Seat is one session: who holds it, what it subscribed to, and what it is due. Each line of Due is an event, with the
// number of its change and its place in it before it, or an answer or a notice.
type Seat struct {
	User User
	Due  []string
	Room int // of the past: how many events it takes before it stalls; below 0: any number

	subs   []*sub
	past   bool // what it reads next is of the past
	full   bool // it had no room for an event of the past, and was not given any since
	found  []string
	looked string // the subscription that looked back for them
	next   int    // change to be judged next
	nth    int    // and outcome in it
}

type sub struct {
	Subscription
	from int      // the first change that it is for
	told []string // notices, in this sweep
}

// Happen adds a change.
func (w *World) Happen(c *Change) {
	w.Changes = append(w.Changes, c)
	w.Made = append(w.Made, Outcomes(w.Rules, c))
	w.Advance()
}

// Swept ends a sweep: what is told once a sweep is told again.
func (w *World) Swept() {
	for _, s := range w.Seats {
		for _, q := range s.subs {
			q.told = nil
		}
	}
}

// Subscribe adds a subscription to what follows now.
func (w *World) Subscribe(s *Seat, q Subscription) {
	s.subs = append(s.subs, &sub{Subscription: q, from: len(w.Changes)})
	s.Due = append(s.Due, "answer "+q.Ref+" false")
	w.Advance()
}

// Resume adds a first subscription that begins after so many changes.
func (w *World) Resume(s *Seat, q Subscription, after int) {
	s.subs = append(s.subs, &sub{Subscription: q, from: after})
	s.next, s.nth, s.past = after, 0, true
	s.Due = append(s.Due, "answer "+q.Ref+" true")
	w.Advance()
}

// Refuse adds a first subscription whose past can't be told.
func (w *World) Refuse(s *Seat, q Subscription, reason string, rewind int) {
	s.Due = append(s.Due, "answer "+q.Ref+" false", notice(q.Resource, reason, q.Ref))
	w.rewind(s, q, rewind)
}

// Rewind adds a first subscription that begins with the newest events.
func (w *World) Rewind(s *Seat, q Subscription, n int) {
	s.Due = append(s.Due, "answer "+q.Ref+" false")
	w.rewind(s, q, n)
}

func (w *World) rewind(s *Seat, q Subscription, n int) {
	s.subs = append(s.subs, &sub{Subscription: q, from: len(w.Changes)})
	s.next, s.nth, s.past = len(w.Changes), 0, n > 0
	s.found, s.looked = w.Between(s.User, q, 0), q.Ref
	s.found = s.found[len(s.found)-min(n, len(s.found)):]
	w.Advance()
}

// Unsubscribe ends a subscription.
func (w *World) Unsubscribe(s *Seat, ref string) {
	i := slices.IndexFunc(s.subs, func(q *sub) bool { return q.Ref == ref })
	s.subs = slices.Delete(s.subs, i, i+1)
	if ref == s.looked {
		s.found = nil
	}
	if len(s.subs) == 0 {
		s.past, s.full = false, false
	}
	w.Advance()
}

// Leave ends all subscriptions.
func (s *Seat) Leave() { s.subs, s.found, s.past, s.full = nil, nil, false, false }

// Give has a session that stalled go on with room for so many events of the past.
func (w *World) Give(s *Seat, room int) {
	s.Room, s.full = room, false
	w.Advance()
}

// Regrant gives the user other grants. What was looked for in the past goes: other grants looked for it.
func (w *World) Regrant(s *Seat, grants []string) {
	s.User.Grants, s.found = grants, nil
	s.Due = append(s.Due, "grants replaced") // all that comes from here on is judged by the new ones
	w.Advance()
}

// Subscribed tells whether a seat has a subscription of the name; Waits whether it has yet to take of the past.
func (s *Seat) Subscribed(ref string) bool {
	return slices.ContainsFunc(s.subs, func(q *sub) bool { return q.Ref == ref })
}

// Subscriptions returns how many a seat has.
func (s *Seat) Subscriptions() int { return len(s.subs) }

// Waits tells whether a seat has stalled.
func (s *Seat) Waits() bool { return s.past }

// Advance has every seat hear what it has room for.
func (w *World) Advance() {
	for _, s := range w.Seats {
		w.advance(s)
	}
}

func (w *World) advance(s *Seat) {
	if s.full {
		return
	}
	for len(s.found) > 0 {
		if !s.take(s.found[0]) {
			return
		}
		s.found = s.found[1:]
	}
	for ; s.next < len(w.Changes); s.next, s.nth = s.next+1, 0 {
		for ; s.nth < len(w.Made[s.next]); s.nth++ {
			if !w.judge(s, &w.Made[s.next][s.nth]) {
				return
			}
		}
	}
	s.past = false
}

// take delivers an event; false when there is no room.
func (s *Seat) take(line string) bool {
	if s.past && s.Room == 0 {
		s.full = true
		return false
	}
	if s.past {
		s.Room--
	}
	s.Due = append(s.Due, line)
	return true
}

// judge delivers what an outcome is to a seat; false when there is no room.
func (w *World) judge(s *Seat, o *Outcome) bool {
	var subs []*Subscription
	for _, q := range s.subs {
		if q.from > s.next {
			continue
		}
		subs = append(subs, &q.Subscription)
		if line := notice(o.Resource, o.Reason, q.Ref); o.Reason != "" && o.Notifies(s.User) &&
			(q.Resource == "" || q.Resource == o.Resource) && !slices.Contains(q.told, line) {
			q.told, s.Due = append(q.told, line), append(s.Due, line) // of other changes that are there by now it is true too
		}
	}
	if o.Reason == "" {
		line := w.hear(s.User, s.next, s.nth, subs)
		return line == "" || s.take(line)
	}
	return true
}

// Between returns the lines of what a subscription is for, from a change on.
func (w *World) Between(u User, q Subscription, from int) (lines []string) {
	for i := from; i < len(w.Made); i++ {
		for j := range w.Made[i] {
			if line := w.hear(u, i, j, []*Subscription{&q}); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// hear returns the line of an event for a user; empty if it is none, or not theirs.
func (w *World) hear(u User, i, j int, subs []*Subscription) string {
	o := &w.Made[i][j]
	if o.Reason != "" {
		return ""
	}
	frame := o.Frame(w.Channel, u, subs)
	if frame == "" {
		return ""
	}
	return strconv.Itoa(i) + "." + strconv.Itoa(j) + " " + frame
}

func notice(resource, reason, ref string) string {
	return fmt.Sprintf("resync %s %s %s", resource, reason, ref)
}
