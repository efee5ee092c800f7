package session

import (
	"sync"
	"sync/atomic"
)

// Stats counts what sessions did since the start.
type Stats struct {
	Open      atomic.Int64  // sessions now
	Accepted  atomic.Uint64 // upgrades
	FramesIn  atomic.Uint64 // data frames received
	Writes    atomic.Uint64 // system calls that sent something
	Written   atomic.Uint64 // messages wholly written
	Bytes     atomic.Uint64 // bytes written
	Overflows atomic.Uint64 // queues that passed their bounds
	Resyncs   atomic.Uint64 // notices sent
	Panics    atomic.Uint64 // sessions ended by a defect of the program
	Refused   atomic.Uint64 // handshakes answered by an HTTP error
	Evicted   atomic.Uint64 // connections that made room for others before it was known whose they are

	mu     sync.Mutex
	closes map[int]uint64
}

func (s *Stats) closed(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closes == nil {
		s.closes = map[int]uint64{}
	}
	if code < 1000 || code > 1015 && (code < closeDraining || code > closeFlood) {
		code = 0
	}
	s.closes[code]++
}

// Closes returns how many sessions ended with each close code; 1006 stands for a connection that just ended, and
// 0 for a code of the peer's own.
func (s *Stats) Closes() map[int]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[int]uint64, len(s.closes))
	for code, n := range s.closes {
		out[code] = n
	}
	return out
}
