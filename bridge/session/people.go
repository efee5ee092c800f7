package session

import (
	"context"
	"slices"

	"nalar.internal/rowfeed/bridge/audience"
)

// joining is how become ended.
type joining uint8

const (
	joined  joining = iota
	crowded         // the user has too many sessions, or this one has ended meanwhile
	stale           // what the identity is made of may have changed meanwhile
)

// login makes the session the one of the user whom a token names. It does not end with grants that were taken away while
// they were looked up: become and Hold see each other's work, since both have the server's lock.
func (srv *Server) login(ctx context.Context, s *Session, token string) (*audience.Identity, verdict) {
	ctx, cancel := context.WithTimeout(ctx, identifyTimeout)
	defer cancel()
	for {
		who, v := srv.authenticate(ctx, token)
		if v.code != 0 {
			return nil, v
		}
		switch s.become(who) {
		case joined:
			return who, verdict{}
		case crowded:
			return nil, verdict{closeConnectionLimit, "too many connections of this user"}
		}
	}
}

// become makes the session its user's.
func (s *Session) become(who *audience.Identity) joining {
	srv := s.srv
	key := userKey(who)
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.users[key] >= srv.cfg.Server.MaxConnectionsPerUser {
		return crowded
	}
	if srv.isStale(who) {
		return stale
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return crowded
	}
	srv.users[key]++
	person := audience.UserKey(who.User)
	srv.people[person] = append(srv.people[person], s)
	srv.known(s)
	s.who = who
	return joined
}

func (srv *Server) isStale(who *audience.Identity) bool { return srv.stale != nil && srv.stale(who) }

// leavePeople undoes what become has noted; srv.mu is held.
func (srv *Server) leavePeople(who *audience.Identity, s *Session) {
	key := audience.UserKey(who.User)
	list := srv.people[key]
	i := slices.Index(list, s)
	if i < 0 {
		return
	}
	last := len(list) - 1
	list[i], list[last] = list[last], nil
	if last == 0 {
		delete(srv.people, key)
		return
	}
	srv.people[key] = list[:last]
}
