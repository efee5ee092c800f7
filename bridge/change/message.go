package change

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
)

// maxHeader is the longest header of an unmasked WebSocket frame: RFC 6455, section 5.2.
const maxHeader = 10

// Message is one finished text message, encoded once and shared by every session that sends it. It must not be
// changed after it was made.
type Message struct {
	buf   []byte // maxHeader bytes of room, of which the header takes the last, then the payload
	start int    // where the WebSocket frame begins in buf
	count int32  // messages that it stands for: 1, or those of a joined one
	raw   bool   // bytes for the wire, whatever they are: neither frame nor text
	parts []*Message
	// stream is the form for Server-Sent Events, once a session of that kind has asked for it.
	stream atomic.Pointer[[]byte]

	// What a newer message of a `latest` channel may replace: same rule and key.
	Rule    int32
	Latest  bool
	Op      Op
	Variant Variant
	Key     string

	Cursor string // that the payload carries; empty: none

	Shared bool // it was made for several sessions
	Beat   bool // a heartbeat, which vouches for what was queued before it
}

// NewMessage makes a text message of the payload that fill appends; size is a guess of its length in bytes.
func NewMessage(size int, fill func(dst []byte) []byte) *Message {
	buf := fill(make([]byte, maxHeader, maxHeader+size))
	return &Message{buf: buf, start: putHeader(buf, 0x81), count: 1}
}

// NewControl makes a control frame (opcode 0x8 close, 0x9 ping, 0xA pong) of at most 125 payload bytes.
func NewControl(opcode byte, payload []byte) *Message {
	buf := append(make([]byte, maxHeader, maxHeader+len(payload)), payload...)
	return &Message{buf: buf, start: putHeader(buf, 0x80|opcode), count: 1}
}

// NewRaw makes a message that goes to the wire as it is: bytes that already are what the peer expects.
func NewRaw(b []byte) *Message { return &Message{buf: b, count: 1, raw: true} }

// Join makes one message of several, so that what goes to the same receivers is queued and written as one. Those of a
// latest channel can be taken apart again; a joined message has no Payload.
func Join(list []*Message) *Message {
	size := 0
	for _, m := range list {
		size += len(m.Frame())
	}
	j := &Message{buf: make([]byte, 0, size), count: int32(len(list))} //nolint:gosec // a frame joins few messages
	for _, m := range list {
		j.buf = append(j.buf, m.Frame()...)
		j.Latest, j.Op = j.Latest || m.Latest, m.Op
		if m.Cursor != "" {
			j.Cursor = m.Cursor
		}
	}
	if j.Latest {
		j.parts = append(j.parts, list...)
	}
	return j
}

// Parts returns the messages that a joined message of a latest channel was made of; nil for all others.
func (m *Message) Parts() []*Message { return m.parts }

// Count returns how many messages it stands for.
func (m *Message) Count() int { return int(m.count) }

// Frame returns the finished WebSocket frame, or those of a joined message. Not to be changed.
func (m *Message) Frame() []byte { return m.buf[m.start:] }

// Payload returns the JSON text. Not to be changed.
func (m *Message) Payload() []byte { return m.buf[maxHeader:] }

// Boundary returns where, at or after a position above 0 of what goes to the wire, a frame of it ends, or as a stream an
// event: what a connection can go on from.
func (m *Message) Boundary(at int, stream bool) int {
	wire := m.Frame()
	if stream {
		wire = m.Stream()
	}
	switch {
	case m.count == 1:
		return len(wire)
	case stream:
		if i := bytes.Index(wire[at-1:], []byte("\n\n")); !bytes.HasSuffix(wire[:at], []byte("\n\n")) && i >= 0 {
			return at - 1 + i + 2
		}
		return at
	}
	end := 0
	for end < at {
		_, _, rest := splitFrame(wire[end:])
		end = len(wire) - len(rest)
	}
	return end
}

// putHeader writes the frame header just before the payload and returns where the frame begins.
func putHeader(buf []byte, first byte) int {
	n := len(buf) - maxHeader
	switch {
	case n < 126:
		buf[8], buf[9] = first, byte(n) //nolint:gosec // n is below 126 here
		return 8
	case n < 1<<16:
		buf[6], buf[7] = first, 126
		binary.BigEndian.PutUint16(buf[8:], uint16(n))
		return 6
	default:
		buf[0], buf[1] = first, 127
		binary.BigEndian.PutUint64(buf[2:], uint64(n))
		return 0
	}
}
