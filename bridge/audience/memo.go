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
//
// What the queries read may change. Changes are numbered as they become known, and an answer is as of the number that was
// the last one when it began to be asked for: it may lack whatever has a higher one, which counts as stale.
type memo struct {
	keep    time.Duration
	mu      sync.Mutex
	flights map[who]*flight

	last    uint64            // change
	all     uint64            // the last one that concerned everybody
	changed map[string]uint64 // the last one of a user, as UserKey has them, since then
}

// maxChanged bounds how many users' changes are remembered one by one.
const maxChanged = 100_000

// who is a user as an issuer names them.
type who struct{ issuer, user string }

// flight is an answer under way or there; its fields are set before done is closed.
type flight struct {
	done   chan struct{}
	asOf   uint64
	person *person
	err    error
}

// get returns the answer for k; the first who asks fetches it, in its own goroutine, the others wait for it. One that a
// change has made stale meanwhile is fetched again.
func (m *memo) get(ctx context.Context, k who, fetch func() (*person, error)) (*person, error) {
	for {
		m.mu.Lock()
		f, found := m.flights[k]
		if !found {
			f = &flight{done: make(chan struct{}), asOf: m.last, err: ErrUnavailable}
			m.flights[k] = f
		}
		m.mu.Unlock()
		if !found {
			m.fly(k, f, fetch)
		} else if !f.wait(ctx) {
			return nil, fmt.Errorf("%w: wait for another session's query: %w", ErrUnavailable, context.Cause(ctx))
		}
		if !m.stale(k.user, f.asOf) {
			return f.person, f.err
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: what the queries read changes all the time: %w", ErrUnavailable, context.Cause(ctx))
		}
	}
}

// wait waits for an answer that another fetches; false when ctx ended before.
func (f *flight) wait(ctx context.Context) bool {
	select {
	case <-f.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// fly fetches the answer. One that could not be had is forgotten at once, a fetch that panics included.
func (m *memo) fly(k who, f *flight, fetch func() (*person, error)) {
	defer close(f.done)
	defer func() {
		if _, refused := errors.AsType[*Refusal](f.err); f.err == nil || refused {
			time.AfterFunc(m.keep, func() { m.forget(k, f) })
			return
		}
		m.forget(k, f)
	}()
	if f.person, f.err = fetch(); f.person != nil {
		f.person.asOf = f.asOf
	}
}

func (m *memo) forget(k who, f *flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flights[k] == f {
		delete(m.flights, k)
	}
}

// change notes that what the queries read has changed for users, as UserKey has them, or for everybody.
func (m *memo) change(all bool, users map[string]struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	if all || len(m.changed)+len(users) > maxChanged {
		m.all = m.last
		clear(m.changed)
		clear(m.flights)
		return
	}
	for user := range users {
		m.changed[user] = m.last
	}
	for k := range m.flights {
		if _, ok := users[UserKey(k.user)]; ok {
			delete(m.flights, k)
		}
	}
}

// now returns the number of the last change.
func (m *memo) now() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// stale tells whether an answer may lack a change.
func (m *memo) stale(user string, asOf uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return asOf < m.all || len(m.changed) > 0 && asOf < m.changed[UserKey(user)]
}
