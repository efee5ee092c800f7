package session

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/router"
)

// Heartbeats: each session is due once in heartbeatPhases seconds, spread so that no second has all of them.
const (
	heartbeatPhases   = 25
	heartbeatInterval = heartbeatPhases * time.Second
	silence           = 2*heartbeatInterval + 5*time.Second // two unanswered pings
)

var pingFrame = change.NewControl(0x9, nil)

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
			frames := map[string]*change.Message{} // those with the same cursors share one
			for _, s := range due {
				s.beat(now, frames)
			}
			srv.nameStreams(frames)
		}
	}
}

// beat sends what is due, or ends a session whose peer has been silent for too long.
func (s *Session) beat(now time.Time, frames map[string]*change.Message) {
	defer s.rescue()
	if s.sse {
		s.beatStream(frames)
		return
	}
	if now.UnixMilli()-s.lastIn.Load() > silence.Milliseconds() {
		s.Close(closeHeartbeatTimeout, "heartbeat_timeout")
		return
	}
	if !s.plain && s.identity() != nil {
		s.sendHeartbeat(frames)
	}
	s.Send(pingFrame)
}

// sendHeartbeat sends the frame with the cursors of the session's channels: not after the answer to a subscription that
// came meanwhile and has a past yet to be sent, for which they do not vouch.
func (s *Session) sendHeartbeat(frames map[string]*change.Message) {
	s.mu.Lock()
	resumes := s.resumes
	s.mu.Unlock()
	if !s.sendIf(resumes, s.heartbeat(frames)) {
		s.Send(emptyHeartbeat)
	}
}

var emptyHeartbeat = change.NewMessage(64, func(b []byte) []byte { return append(b, heartbeatText(nil)...) })

// heartbeat returns the frame with the cursors of the session's channels.
func (s *Session) heartbeat(frames map[string]*change.Message) *change.Message {
	channels := s.channels()
	slices.SortFunc(channels, func(a, b *router.Channel) int { return strings.Compare(a.Name(), b.Name()) })
	cursors := make([][2]string, 0, len(channels))
	for _, c := range channels {
		if cursor := c.Cursor(s); cursor != "" {
			cursors = append(cursors, [2]string{c.Name(), cursor})
		}
	}
	text := heartbeatText(cursors)
	m := frames[string(text)]
	if m == nil {
		m = change.NewMessage(len(text), func(b []byte) []byte { return append(b, text...) })
		m.Beat = true
		frames[string(text)] = m
	}
	return m
}

// channels returns those that the session is subscribed to.
func (s *Session) channels() []*router.Channel {
	var channels []*router.Channel
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		if c := sub.Channel(); !slices.Contains(channels, c) {
			channels = append(channels, c)
		}
	}
	return channels
}

// heartbeatText returns the JSON text of a heartbeat with the cursors of channels.
func heartbeatText(cursors [][2]string) []byte {
	text := []byte(`{"type":"heartbeat","cursors":{`)
	for i, c := range cursors {
		if i > 0 {
			text = append(text, ',')
		}
		name, _ := json.Marshal(c[0]) // a string always can be
		text = append(append(append(append(text, name...), `:"`...), c[1]...), '"')
	}
	return append(text, "}}"...)
}
