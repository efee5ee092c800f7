package session

// Strangers are connections of which it is not known whose they are: they have yet to send a token, or have been
// refused and have not gone. They may have a quarter of the places, in all and of each address, so that no flood of
// them keeps out those who are known. Who comes when the quarter is full, of all or of the address, takes the place of
// the one of them that has waited longest: whoever means to authenticate does so at once, also behind the proxy or the
// router of an office in which somebody else does not.

// strangersShare is the part of a limit that strangers may use.
func strangersShare(limit int) int { return max(1, limit/4) }

// wait makes the session a stranger.
func (srv *Server) wait(s *Session) {
	c := srv.cfg.Server
	srv.mu.Lock()
	if s.ended() { // forget has been here, or will not see it
		srv.mu.Unlock()
		return
	}
	srv.strangersOf[s.address]++
	s.stranger = srv.strangers.PushBack(s)
	var longest *Session
	if srv.strangersOf[s.address] > strangersShare(c.MaxConnectionsPerAddress) {
		longest = srv.longestOf(s.address)
	}
	srv.mu.Unlock()
	if longest != nil {
		srv.evict(longest)
	}
	srv.makeRoom(strangersShare(c.MaxConnections))
}

// longestOf takes the stranger of an address that has waited longest from among them; srv.mu is held.
func (srv *Server) longestOf(address string) *Session {
	for e := srv.strangers.Front(); e != nil; e = e.Next() {
		if s := e.Value.(*Session); s.address == address {
			srv.known(s)
			return s
		}
	}
	return nil
}

// evict ends one that has to make room.
func (srv *Server) evict(s *Session) {
	srv.Stats.Evicted.Add(1)
	s.kill()
}

// known takes the session from among the strangers; srv.mu is held.
func (srv *Server) known(s *Session) {
	if s.stranger == nil {
		return
	}
	srv.strangers.Remove(s.stranger)
	s.stranger = nil
	decrement(srv.strangersOf, s.address)
}

// makeRoom ends the stranger that has waited longest where there are more than so many; false where there are not.
func (srv *Server) makeRoom(most int) bool {
	srv.mu.Lock()
	if srv.strangers.Len() <= most {
		srv.mu.Unlock()
		return false
	}
	s := srv.strangers.Front().Value.(*Session)
	srv.known(s)
	srv.mu.Unlock()
	srv.evict(s)
	return true
}
