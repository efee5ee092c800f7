package router

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/change"
)

// readOutbox serves those whose place is not in memory, until ctx ends.
func (p *Replayer) readOutbox(ctx context.Context) {
	defer func() { p.past.Outbox.Close(context.WithoutCancel(ctx)) }()
	wait := 100 * time.Millisecond
	for {
		idle := linger
		if p.door.waiting {
			idle = time.Until(p.door.next)
		}
		select {
		case <-ctx.Done():
			return
		case <-p.c.outbox:
		case <-time.After(idle):
			if !p.door.waiting {
				p.past.Outbox.Close(ctx)
				continue
			}
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

// door lets those who come to the outbox in together: who comes back alone at once, who comes with ten thousand others
// with those of the same moment, so that a storm of them is not one of questions to the database.
type door struct {
	next    time.Time
	every   time.Duration
	waiting bool
}

const (
	doorMin = 50 * time.Millisecond
	doorMax = time.Second
)

// open tells whether somebody may come in now.
func (d *door) open(now time.Time) bool {
	if d.waiting = now.Before(d.next); d.waiting {
		return false
	}
	if now.Sub(d.next) > 2*doorMax {
		d.every = 0
	}
	d.every = min(max(2*d.every, doorMin), doorMax)
	d.next = now.Add(d.every)
	return true
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
	cursor := c.cursor
	if leader != nil && leader.until.Snapshot == nil && leader.mark.Cursor == p.last && cursor == p.dry {
		leader = nil // there is no later place until one is settled
	}
	c.mu.Unlock()
	if p.door.waiting = false; len(ask)+len(dig) > 0 && !p.door.open(time.Now()) {
		ask, dig = nil, nil
	}
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
		if !paged {
			p.last, p.dry = leader.mark.Cursor, cursor
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
			c.resume(r, m.Snapshot)
			r.stage, r.mark, r.seen = paging, *m, m.Snapshot
		}
	}
	// Who looks back now may be here again by the next turn, and must not be twice.
	c.lost = slices.DeleteFunc(c.lost, func(r *replay) bool { return r.stage == rewinding })
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
		}
	}
	for _, r := range list { // not before: who goes along depends on where the leader was
		r.until = until
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
