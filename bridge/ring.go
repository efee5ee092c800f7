package bridge

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/operate"
)

// ring has captures go on while this node lives: they stop by themselves when nobody has asked for four slots of the
// outbox, so that it does not fill the disk.
type ring struct {
	b       *Bridge
	stats   operate.RingStats
	failing atomic.Bool
	stopped atomic.Bool
}

// begin has captures go on before the feeds find their places: where they had stopped, that is four steps. Where somebody is
// in the way the chore goes on.
func (r *ring) begin(ctx context.Context) {
	for range 8 {
		if r.keepOpen(ctx); r.failing.Load() || !r.stopped.Load() {
			return
		}
	}
}

// keepOpen asks once; it takes several times until all has been told of captures that had stopped.
func (r *ring) keepOpen(ctx context.Context) {
	limit, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var remaining float64
	var stopped *time.Time
	err := r.b.pool.QueryRow(limit, "select remaining, stopped_at from "+pgx.Identifier{r.b.cfg.Database.Schema}.Sanitize()+".keep_open()").
		Scan(&remaining, &stopped)
	if was := r.failing.Swap(err != nil); err != nil {
		if !was && ctx.Err() == nil {
			r.b.log.Warn("captures can't be told to go on: they stop by themselves in the end", zap.Error(err))
		}
		r.b.leave(err)
		return
	}
	r.stats.Open(time.Duration(remaining * float64(time.Second)))
	if was := r.stopped.Swap(stopped != nil); stopped != nil && !was {
		r.stats.Stops.Add(1)
		r.b.log.Warn("captures had stopped, since no bridge had run for long: they go on, and subscribers fetch afresh",
			zap.Time("since", *stopped))
	}
}

// warnings says that captures have stopped, or will.
func (r *ring) warnings() []string {
	left := r.stats.OpenFor().Round(time.Second)
	switch {
	case r.stopped.Load():
		return []string{"captures had stopped, since no bridge had run for long: they go on, and subscribers are about to be told to " +
			"fetch afresh"}
	case r.failing.Load() && left <= 0:
		return []string{"captures have stopped, since they can't be told to go on: see the log"}
	case r.failing.Load():
		return []string{"captures stop in " + left.String() + ", since they can't be told to go on: see the log"}
	}
	return nil
}
