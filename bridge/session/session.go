package session

import (
	"container/list"
	"encoding/binary"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/router"
)

// Session is one connection. At rest it holds no goroutine and no buffer: see reader.go and writer.go for who works
// on it when there is something to do.
type Session struct {
	srv   *Server
	id    uint64
	plain bool // a plain endpoint: events only, by its path
	sse   bool // Server-Sent Events: the same but for handshake, framing and that nothing is read

	nc   net.Conn
	raw  syscall.RawConn // nil where writes may not be non-blocking (TLS, other systems)
	in   *engine         // while the session is being read: of the goroutine that reads
	slot int32           // in the poller; -1 where a goroutine reads

	address string // of the client, as connection limits count it
	lastIn  atomic.Int64
	opened  int64 // microseconds of the Unix epoch
	judged  int64 // likewise, when its grants last changed and what waited was dropped; 0: never. s.mu is held

	// limit, bad and ignored belong to the goroutine that reads.
	limit   bucket
	bad     bucket
	ignored int // bytes that came where nothing is expected

	mu        sync.Mutex
	subs      []*router.Subscription
	who       *audience.Identity // nil until authenticated
	hungry    []*router.Channel  // that have more of the past than there was room for
	resumes   int                // how often it has asked for something of the past
	q         queue
	scheduled bool   // a writer or a drain goroutine has it
	attached  bool   // the socket is there
	closing   int    // close code once a close frame is queued or the connection has failed
	why       string // its reason
	closed    bool
	goodbye   bool // close the socket when the queue is empty
	timer     *time.Timer
	phase     int32 // heartbeat bucket and place in it
	place     int32

	held        uint64     // by which of the server's holds; 0: by none. See regrant.go
	regranting  bool       // its subscriptions are being given other grants
	regranted   bool       // it has other grants than it was welcomed with
	blocked     bool       // a write waits for the socket
	interrupted bool       // and was told to give up
	granting    sync.Mutex // held while subscriptions are made, and while grants are replaced; before any router's lock

	stranger *list.Element // of Server.strangers, while it is one; of the server's lock
}

// Send queues a message and has it written.
func (s *Session) Send(m *change.Message) {
	if s.queue(m) {
		s.srv.schedule(s, true)
	}
}

// Queue queues a message that is written after the server's Wake at the latest.
func (s *Session) Queue(m *change.Message) {
	if s.queue(m) {
		s.srv.schedule(s, false)
	}
}

// Offer queues a message of the past where there is room for it. If there is not, the channel hears when there is.
func (s *Session) Offer(m *change.Message, c *router.Channel) bool {
	fits := false
	s.locked(false, func() {
		if fits = s.closing == 0 && s.q.room(m); fits {
			s.q.append(m)
		} else if !slices.Contains(s.hungry, c) { // who is leaving has no room any more: nothing is read for them
			s.hungry = append(s.hungry, c)
		}
	})
	return fits
}

// fed returns the channels that wait for room, when there is some; s.mu is held.
func (s *Session) fed() []*router.Channel {
	if s.hungry == nil || s.closing != 0 || s.q.bytes > lowBytes || s.q.len() > lowLen {
		return nil
	}
	hungry := s.hungry
	s.hungry = nil
	return hungry
}

// Slow ends a session that has fallen too far behind.
func (s *Session) Slow() {
	s.locked(false, func() {
		if s.closing == 0 {
			s.overflowLocked()
		}
	})
}

// sendIf sends a message made when the session had asked for the past so many times, if it has not done so since.
func (s *Session) sendIf(resumes int, m *change.Message) bool {
	s.mu.Lock()
	same := s.resumes == resumes
	ready := same && s.queueLocked(m)
	s.mu.Unlock()
	if ready {
		s.srv.schedule(s, true)
	}
	return same
}

// queue never waits: a session whose queue passes its bounds is closed with slow_consumer. It tells whether the session
// is to be handed to a writer.
func (s *Session) queue(m *change.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queueLocked(m)
}

func (s *Session) queueLocked(m *change.Message) bool {
	if s.closing != 0 {
		return false
	}
	if !s.q.push(m) {
		s.overflowLocked()
	}
	return s.wantsWriter()
}

// overflowLocked ends a session whose queue has passed its bounds; s.mu is held.
func (s *Session) overflowLocked() {
	s.srv.Stats.Overflows.Add(1)
	s.closeLocked(closeSlowConsumer, "slow_consumer")
}

// wantsWriter claims the session for a writer where it has none and something waits; s.mu is held.
func (s *Session) wantsWriter() bool {
	if s.scheduled || !s.attached || s.closed || s.q.len() == 0 || s.paused() && !s.q.unfinished() {
		return false
	}
	s.scheduled = true
	return true
}

// Resync tells that what was delivered of a subscription is void: a frame of its own, or, on a plain endpoint, which
// has none, the end of the connection.
func (s *Session) Resync(n change.Notice, subscription string) {
	s.srv.Stats.Resyncs.Add(1)
	if s.plain {
		s.Close(closeResync, "resync: "+n.Reason)
		return
	}
	s.Send(resyncFrame(n, subscription))
}

// Close sends a close frame after what is already on its way, and ends the connection when the peer has answered, or
// soon. Later calls do nothing.
func (s *Session) Close(code int, reason string) {
	s.locked(true, func() { s.closeLocked(code, reason) })
}

func (s *Session) closeLocked(code int, reason string) {
	if s.closing != 0 {
		return
	}
	s.closing, s.why = code, reason
	s.dropPaused()
	if code == closeSlowConsumer {
		s.q.cut()
	}
	s.q.append(s.farewell(code, reason))
	s.setTimer(closeWait, s.kill)
}

// farewell is the last message: a close frame, which the peer answers, or an event, after which the connection ends;
// s.mu is held.
func (s *Session) farewell(code int, reason string) *change.Message {
	if s.sse {
		s.goodbye = true
		return closeEvent(code, reason)
	}
	return closeFrame(code, reason)
}

// closeWait is how long a peer has to take the close frame and answer it.
const closeWait = 5 * time.Second

// setTimer replaces what the session waits for; s.mu is held.
func (s *Session) setTimer(d time.Duration, f func()) {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(d, func() {
		defer s.rescue()
		f()
	})
}

// kill ends the connection at once. It may be called from anywhere and more than once.
func (s *Session) kill() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	if s.closing == 0 {
		s.closing = 1006
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	attached := s.attached
	s.mu.Unlock()
	if attached {
		s.srv.unpark(s)
		s.nc.Close() // wakes whoever reads or writes; they find closed set
	}
	s.srv.forget(s)
}

// identity returns who the session is, nil before it is known.
func (s *Session) identity() *audience.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.who
}

// name is the session's public id: what welcome says and the log has.
func (s *Session) name() string { return s.srv.node + "-" + strconv.FormatUint(s.id, 36) }

func closeFrame(code int, reason string) *change.Message {
	if len(reason) > 123 { // a control frame holds 125 bytes
		reason = reason[:123]
	}
	//nolint:gosec // codes are those of the contract, of four digits
	return change.NewControl(0x8, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

// bucket is a token bucket: what one session may do per second. The zero value is full.
type bucket struct {
	used float32
	at   int64 // unix milliseconds
}

// take spends one token of rate per second (burst: rate); false when there is none.
func (b *bucket) take(now int64, rate float32) bool {
	b.used = max(0, b.used-float32(now-b.at)*rate/1000)
	b.at = now
	if b.used+1 > rate {
		return false
	}
	b.used++
	return true
}
