package session

// Strangers are connections of which it is not known whose they are: they have yet to send a token, or have been
// refused and have not gone. They may have a quarter of the places, in all and of each address, so that no flood of
// them keeps out those who are known. Who comes when the quarter is full takes the place of the one that has waited
// longest: whoever means to authenticate does so at once.

// strangersShare is the part of a limit that strangers may use.
func strangersShare(limit int) int { return max(1, limit/4) }

// waits makes the session a stranger; false when its address has too many of them.
func (srv *Server) waits(s *Session) bool {
	c := srv.cfg.Server
	srv.mu.Lock()
	if s.ended() { // forget has been here, or will not see it
		srv.mu.Unlock()
		return true
	}
	if srv.strangersOf[s.address] >= strangersShare(c.MaxConnectionsPerAddress) {
		srv.mu.Unlock()
		return false
	}
	srv.strangersOf[s.address]++
	s.stranger = srv.strangers.PushBack(s)
	srv.mu.Unlock()
	srv.makeRoom(strangersShare(c.MaxConnections))
	return true
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
	srv.Stats.Evicted.Add(1)
	s.kill()
	return true
}
