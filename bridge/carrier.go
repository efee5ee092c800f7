package bridge

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/operate"
	"nalar.internal/rowfeed/bridge/rule"
)

// carrier takes what a feed reads through the rules to the router.
type carrier struct {
	channel *channel
	log     *zap.Logger
	metrics *operate.Metrics
	logged  atomic.Int64 // when a fault was last logged, unix seconds
}

// Change implements source.Handler.
func (c *carrier) Change(epoch string, ch *change.Change) { c.channel.rules.Apply(epoch, ch, c) }

// Swept implements source.Handler.
func (c *carrier) Swept() { c.channel.router.Flush() }

// Lost implements source.Handler.
func (c *carrier) Lost(reason string) {
	c.log.Warn("gap in the feed, subscribers are told", zap.String("channel", c.channel.name), zap.String("reason", reason))
	c.channel.router.Notify(change.Notice{Channel: c.channel.name, Reason: reason})
}

// Event implements rule.Output.
func (c *carrier) Event(e *change.Event) { c.channel.router.Route(e) }

// Notice implements rule.Output.
func (c *carrier) Notice(n change.Notice) { c.channel.router.Notify(n) }

// Fault implements rule.Output: every one is counted, one a second is logged.
func (c *carrier) Fault(f rule.Fault) {
	c.metrics.Fault(f.Channel, f.Kind)
	now := time.Now().Unix()
	if c.logged.Swap(now) == now {
		return
	}
	c.log.Warn("rule not applied to a change", zap.String("channel", f.Channel), zap.String("table", f.Table),
		zap.String("event", f.Event), zap.Int("rule", f.Rule), zap.String("kind", f.Kind), zap.Error(f.Err))
}
