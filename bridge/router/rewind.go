package router

import (
	"context"
	"math"
	"slices"

	"nalar.internal/rowfeed/bridge/change"
)

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
		if r.pos == 0 { // nothing was routed yet
			r.pos = end
		}
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
			c.readOn(r)
		}
	}
	return true
}

// readOn has a replay that has looked back go on from where it began to.
func (c *Channel) readOn(r *replay) {
	nth := r.nth
	c.read(r, nil, r.pos)
	r.nth = nth
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
			c.readOn(r)
		}
	}
	return nil
}
