package operate

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// Lobby keeps the connections of a server that have not sent a whole request: those that are new, and those that rest
// between two. There are so many at the most. One more takes the place of the one that has waited longest, so that
// half-open connections, however many come, keep nobody out who has something to ask.
type Lobby struct {
	most int

	mu      sync.Mutex
	waiting list.List // of net.Conn
	places  map[net.Conn]*list.Element
	dropped uint64
}

// NewLobby makes a lobby for so many connections.
func NewLobby(most int) *Lobby {
	return &Lobby{most: most, places: map[net.Conn]*list.Element{}}
}

// Counts tells how many wait, and how many had to make room since the start.
func (l *Lobby) Counts() (waiting int, dropped uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting.Len(), l.dropped
}

type connKey struct{}

// Watch puts the lobby before a server, which must not serve yet.
func (l *Lobby) Watch(s *http.Server) {
	next := s.Handler
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	s.ConnState = func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew, http.StateIdle:
			l.enter(c)
		case http.StateHijacked, http.StateClosed:
			l.leave(c)
		case http.StateActive: // its first byte: a whole request shows in the handler
		}
	}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			l.leave(c)
		}
		next.ServeHTTP(w, r)
	})
}

func (l *Lobby) enter(c net.Conn) {
	l.mu.Lock()
	l.places[c] = l.waiting.PushBack(c)
	var longest net.Conn
	if l.waiting.Len() > l.most {
		longest = l.waiting.Remove(l.waiting.Front()).(net.Conn)
		delete(l.places, longest)
		l.dropped++
	}
	l.mu.Unlock()
	if longest == nil {
		return
	}
	if t, ok := longest.(*tls.Conn); ok {
		longest = t.NetConn() // its own Close would wait for a peer that does not read
	}
	longest.Close()
}

func (l *Lobby) leave(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if place := l.places[c]; place != nil {
		l.waiting.Remove(place)
		delete(l.places, c)
	}
}
