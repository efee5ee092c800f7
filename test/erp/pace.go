package erp

import (
	"context"
	"sync"
	"time"
)

// catchUp is how much of what was missed, while the server was slow, is made up for afterwards.
const catchUp = 2 * time.Second

// pacer spreads rows evenly over time, whoever writes them.
type pacer struct {
	mu   sync.Mutex
	rate float64   // rows a second
	next time.Time // when all rows reserved so far are due
}

// wait reserves n rows and waits until they are due; it returns false when ctx was done before.
func (p *pacer) wait(ctx context.Context, n int) bool {
	p.mu.Lock()
	if late := time.Now().Add(-catchUp); p.next.Before(late) {
		p.next = late
	}
	p.next = p.next.Add(p.span(float64(n)))
	due := time.Until(p.next)
	p.mu.Unlock()
	return pause(ctx, due)
}

// settle corrects a reservation of planned rows by what was written.
func (p *pacer) settle(planned int, written int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = p.next.Add(p.span(float64(written) - float64(planned)))
}

// leave sets the rate to what others, who write so many rows a second, leave of all.
func (p *pacer) leave(all, others float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = all - others
}

func (p *pacer) span(rows float64) time.Duration {
	return time.Duration(rows / p.rate * float64(time.Second))
}

// pause waits for d, or returns false as soon as ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
