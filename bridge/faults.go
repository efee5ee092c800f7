package bridge

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/rule"
)

// faultEvery is how often a fault of one kind of one rule is logged: a bulk update may make thousands a second, and those
// of one rule must not hide another's.
const faultEvery = 10 * time.Second

// faultLog logs the faults of a channel's rules.
type faultLog struct {
	mu   sync.Mutex
	seen map[faultKey]*faultSeen
}

type faultKey struct {
	rule int
	kind string
}

type faultSeen struct {
	at     time.Time // when it was last logged
	silent int       // how many were not, since
}

// note logs a fault, or counts it for the next time.
func (l *faultLog) note(log *zap.Logger, f rule.Fault, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[faultKey]*faultSeen{}
	}
	key := faultKey{f.Rule, f.Kind}
	seen := l.seen[key]
	if seen != nil && now.Sub(seen.at) < faultEvery {
		seen.silent++
		return
	}
	silent := 0
	if seen != nil {
		silent = seen.silent
	}
	l.seen[key] = &faultSeen{at: now}
	log.Warn("rule not applied to a change", zap.String("channel", f.Channel), zap.String("table", f.Table),
		zap.String("event", f.Event), zap.Int("rule", f.Rule), zap.String("kind", f.Kind), zap.Error(f.Err),
		zap.Int("suppressed", silent))
}
