package source

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"go.uber.org/zap"
)

// A connection can look well and yet never bring a notification: a pooler has given its LISTEN to another, a proxy leads
// nowhere, the server is another one than the pool's. So the feed notifies itself now and then, through the pool, and
// waits for its canary at the listener. No sweep comes of one, and those of other nodes mean nothing here.
//
// A feed that expects no notification has no canary: its channel says wake: sweep, or the server allows two-phase commit,
// where the triggers don't ring. (LISTEN would work there. But nothing rests on it, and what nothing rests on should not
// make a node unready.)
const (
	canaryMark  = "canary:"
	canaryEvery = 5 * time.Second
	canaryLimit = 3 * time.Second // to come back
)

// canary is one that is under way.
type canary struct {
	payload string
	back    chan struct{} // closed by the listener
}

// canaries sends one when LISTEN has come into force, and then every few seconds, until ctx ends.
func (f *Feed) canaries(ctx context.Context) {
	if f.o.Notify == nil {
		return
	}
	timer := time.NewTimer(canaryEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-f.fresh:
			if f.Stats.Deaf.Load() {
				continue // a listener that hears nothing is not restarted more often than that
			}
		}
		if !f.Stats.Polling.Load() {
			f.sendCanary(ctx)
		}
		timer.Reset(canaryEvery)
	}
}

// sendCanary sends one and restarts the listener if it does not come back. That it can't be sent, or that the listener's
// connection is lost meanwhile, proves nothing.
func (f *Feed) sendCanary(ctx context.Context) {
	line := f.line.Load()
	if line == 0 {
		return
	}
	c := &canary{payload: canaryMark + f.door.node + ":" + rand.Text(), back: make(chan struct{})}
	f.canary.Store(c)
	defer f.canary.Store(nil)
	if !f.sing(ctx, c) {
		return
	}
	timer := time.NewTimer(canaryLimit)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-c.back:
	case <-timer.C:
		// Sent once more to know that it is not the database, or the network, which is silent altogether.
		if f.sing(ctx, c) && f.line.Load() == line && f.canary.Load() == c {
			f.lostCanary()
		}
	}
}

// sing sends a canary and tells whether the database has taken it.
func (f *Feed) sing(ctx context.Context, c *canary) bool {
	ctx, cancel := context.WithTimeout(ctx, canaryLimit)
	defer cancel()
	return f.o.Notify(ctx, *f.notify.Load(), c.payload) == nil
}

func (f *Feed) lostCanary() {
	f.Stats.CanariesLost.Add(1)
	f.Stats.Listening.Store(false)
	if !f.Stats.Deaf.Swap(true) {
		f.o.Log.Warn("notifications don't arrive, restarting the listener: a pooler in transaction mode is the usual cause, "+
			"let database.url name the server itself", zap.String("channel", f.o.Channel))
	}
	if cancel := f.relisten.Load(); cancel != nil {
		(*cancel)()
	}
}

// isCanary tells whether a notification is one, of whichever node, and takes note of ours. The listener calls it.
func (f *Feed) isCanary(payload string) bool {
	if !strings.HasPrefix(payload, canaryMark) {
		return false
	}
	if c := f.canary.Load(); c != nil && c.payload == payload && f.canary.CompareAndSwap(c, nil) {
		f.Stats.Deaf.Store(false)
		f.Stats.Listening.Store(true)
		f.door.proven.Store(f.line.Load())
		close(c.back)
	} else if !strings.HasPrefix(payload[len(canaryMark):], f.door.node) {
		until(&f.door.others, othersTime)
	}
	return true
}
