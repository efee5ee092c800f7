package audience

import (
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Stats is what is measured of tokens. It is safe for concurrent use.
type Stats struct {
	KeySets []*KeyStats // of issuers that publish their keys; fixed

	mu       sync.Mutex
	refusals map[string]uint64
	faults   map[string]uint64
}

// Refusals returns how many tokens were refused for each reason. The reasons are few: they name claims that the
// configuration names, and hold nothing of a token.
func (s *Stats) Refusals() map[string]uint64 { return s.copy(&s.refusals) }

// Faults returns how often a part of the configuration could not be applied to a verified token, by kind: user_claim,
// tenant_claim, grants_claim (a claim of the wrong type), user_value (a query refuses the user), user_query (an answer
// that can't be used), grants_query (a grant that can't).
func (s *Stats) Faults() map[string]uint64 { return s.copy(&s.faults) }

func (s *Stats) copy(m *map[string]uint64) map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(*m)
}

func (s *Stats) add(m *map[string]uint64, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *m == nil {
		*m = map[string]uint64{}
	}
	(*m)[key]++
}

// silence is how long a fault at one place of the configuration is not logged again: what fails for one token most
// likely fails for many.
const silence = time.Minute

// faults tells the operator what is wrong, and nobody else.
type faults struct {
	stats *Stats
	log   *zap.Logger
	mu    sync.Mutex
	told  map[string]time.Time // by the configuration's key; these are few
}

func newFaults(stats *Stats, log *zap.Logger) *faults {
	return &faults{stats: stats, log: log, told: map[string]time.Time{}}
}

// note counts a fault and logs it once a minute for each key of the configuration. Fields hold no values of tokens or
// rows.
func (f *faults) note(kind, key, message string, fields ...zap.Field) {
	f.stats.add(&f.stats.faults, kind)
	f.mu.Lock()
	now := time.Now()
	at, seen := f.told[kind+key]
	quiet := seen && now.Sub(at) < silence
	if !quiet {
		f.told[kind+key] = now
	}
	f.mu.Unlock()
	if !quiet {
		f.log.Warn(message, append([]zap.Field{zap.String("key", key), zap.String("kind", kind)}, fields...)...)
	}
}
