package audience

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// memo lets all who ask for one user at a time share one answer, and keeps it for a moment. It holds only what was
// asked for in that moment.
type memo struct {
	keep    time.Duration
	mu      sync.Mutex
	flights map[who]*flight
}

// who is a user as an issuer names them.
type who struct{ issuer, user string }

// flight is an answer under way or there; its fields are set before done is closed.
type flight struct {
	done   chan struct{}
	person *person
	err    error
}

// get returns the answer for k; the first who asks fetches it, in its own goroutine, the others wait for it.
func (m *memo) get(ctx context.Context, k who, fetch func() (*person, error)) (*person, error) {
	m.mu.Lock()
	f, found := m.flights[k]
	if !found {
		f = &flight{done: make(chan struct{}), err: ErrUnavailable}
		m.flights[k] = f
	}
	m.mu.Unlock()
	if !found {
		m.fly(k, f, fetch)
		return f.person, f.err
	}
	select {
	case <-f.done:
		return f.person, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for another session's query: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// fly fetches the answer. One that could not be had is forgotten at once, a fetch that panics included.
func (m *memo) fly(k who, f *flight, fetch func() (*person, error)) {
	defer close(f.done)
	defer func() {
		if _, refused := errors.AsType[*Refusal](f.err); f.err == nil || refused {
			time.AfterFunc(m.keep, func() { m.forget(k) })
			return
		}
		m.forget(k)
	}()
	f.person, f.err = fetch()
}

func (m *memo) forget(k who) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.flights, k)
}
