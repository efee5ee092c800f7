package session

import (
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

// Heartbeats: each session is due once in heartbeatPhases seconds, spread so that no second has all of them.
const (
	heartbeatPhases   = 25
	heartbeatInterval = heartbeatPhases * time.Second
	silence           = 2*heartbeatInterval + 5*time.Second // two unanswered pings
)

var (
	heartbeatFrame = change.NewMessage(64, func(b []byte) []byte { return append(b, `{"type":"heartbeat","cursors":{}}`...) })
	pingFrame      = change.NewControl(0x9, nil)
)

// heartbeat sends pings (and, with the full protocol, heartbeat frames) until stopBeat.
func (srv *Server) heartbeat() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for phase := 0; ; phase = (phase + 1) % heartbeatPhases {
		select {
		case <-srv.stopBeat:
			return
		case now := <-tick.C:
			srv.mu.Lock()
			due := append([]*Session(nil), srv.beats[phase]...)
			srv.mu.Unlock()
			for _, s := range due {
				s.beat(now)
			}
		}
	}
}

// beat sends what is due, or ends a session whose peer has been silent for too long.
func (s *Session) beat(now time.Time) {
	if s.sse {
		s.beatStream()
		return
	}
	if now.UnixMilli()-s.lastIn.Load() > silence.Milliseconds() {
		s.Close(closeHeartbeatTimeout, "heartbeat_timeout")
		return
	}
	if !s.plain && s.identity() != nil {
		s.Send(heartbeatFrame)
	}
	s.Send(pingFrame)
}
