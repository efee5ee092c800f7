package bridge

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/operate"
	"nalar.internal/rowfeed/bridge/router"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/bridge/source"
)

// carrier takes what a feed reads through the rules to the router.
type carrier struct {
	channel *channel
	log     *zap.Logger
	metrics *operate.Metrics
	faults  faultLog
	hush    hush
	drift   *drift
}

// Change implements source.Handler.
func (c *carrier) Change(at change.Place, ch *change.Change) {
	if ch.Op == change.Resync {
		c.drift.ring()
	}
	if c.drift.others(ch.Relation.Table) { // rows of the old table must not be taken for the new one's
		void := *ch
		void.Op, void.Old, void.New, void.Reason = change.Resync, nil, nil, "drift"
		ch = &void
	}
	c.channel.rules.Apply(at, ch, c)
}

// Settled implements source.Handler.
func (c *carrier) Settled(cursor string) {
	for _, n := range c.hush.settle() {
		c.channel.router.Notify(n)
	}
	c.channel.router.Settle(cursor)
}

// Swept implements source.Handler.
func (c *carrier) Swept() { c.channel.router.Flush(c.channel.feed.History().End()) }

// Lost implements source.Handler.
func (c *carrier) Lost(reason string) {
	c.log.Warn("gap in the feed, subscribers are told", zap.String("channel", c.channel.name), zap.String("reason", reason))
	if reason == "drift" {
		c.drift.ring()
	}
	c.channel.router.Notify(change.Notice{Channel: c.channel.name, Reason: reason})
}

// Event implements rule.Output.
func (c *carrier) Event(e *change.Event) { c.channel.router.Route(e) }

// Notice implements rule.Output.
func (c *carrier) Notice(n change.Notice) {
	if c.hush.says(n) {
		c.channel.router.Notify(n)
	}
}

// Fault implements rule.Output.
func (c *carrier) Fault(f rule.Fault) {
	c.metrics.Fault(f)
	c.faults.note(c.log, f, time.Now())
}

// replay brings the channel's subscribers up to what is live until ctx ends.
func (c *carrier) replay(ctx context.Context) error {
	feed := c.channel.feed
	return c.channel.router.Replay(ctx, router.Past{
		Memory: feed.History(), Outbox: c.channel.outbox, Gone: source.ErrGone, Apply: c.again, Log: c.log,
	})
}

// decoded is what decoding a record takes, used again.
type decoded struct {
	change change.Change
	rows   [2]change.Row
}

var decodeds = sync.Pool{New: func() any { return new(decoded) }}

// again applies the rules to a record once more.
func (c *carrier) again(at change.Place, r *change.Record, out router.Output) {
	d := decodeds.Get().(*decoded)
	defer decodeds.Put(d)
	if r.Relation == nil || source.Decode(r, &d.change, &d.rows) != nil {
		out.Notice(change.Notice{Channel: c.channel.name, Reason: "drift"})
		return
	}
	c.channel.rules.Apply(at, &d.change, past{out})
}

// past is rule.Output for changes of the past, whose faults have been counted.
type past struct{ router.Output }

// Fault implements rule.Output.
func (past) Fault(rule.Fault) {}
