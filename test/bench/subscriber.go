//go:build linux

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"nalar.internal/rowfeed/test/wstest"
)

// subscriber is one client's side of a conversation, without its socket: it is fed what the socket brought, and says
// what is to be sent. It speaks just enough WebSocket (RFC 6455) and rowfeed.v1 to subscribe to one channel, or, to the
// floor, nothing.
type subscriber struct {
	user    int
	channel string // empty: the floor, which sends lines
	say     func([]byte) error
	heard   func(s *subscriber, event []byte) error

	phase phase
	rest  []byte // of a frame that is not there as a whole yet
	beats int    // heartbeats and pings
	got   int    // events
	step  int    // of the last event, where heard keeps it
}

type phase uint8

const (
	connecting phase = iota // the answer to the handshake is to come
	joining                 // welcome and subscribed are to come
	live
)

// secret signs the tokens of the benchmark's users.
const secret = "a secret of benchmarks, long enough for HS256"

// request is the handshake: the full protocol, with the token in a header.
func (s *subscriber) request(host string) ([]byte, error) {
	if s.channel == "" {
		return nil, nil
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"user_id": s.user, "roles": []string{"warehouse"}, "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		return nil, fmt.Errorf("sign token: %w", err)
	}
	key := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(make([]byte, 8), uint64(s.user)))
	return fmt.Appendf(nil, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: rowfeed.v1\r\n"+
		"Authorization: Bearer %s\r\n\r\n", host, key, token), nil
}

// feed takes what the socket brought.
func (s *subscriber) feed(b []byte) error {
	if len(s.rest) > 0 {
		s.rest = append(s.rest, b...)
		b = s.rest
	}
	for {
		n, err := s.take(b)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	s.rest = append(s.rest[:0], b...)
	return nil
}

// take handles what b begins with and returns its length; 0 is not there as a whole.
func (s *subscriber) take(b []byte) (int, error) {
	switch {
	case s.channel == "":
		end := bytes.IndexByte(b, '\n')
		switch {
		case end > 0:
			s.got++
			return end + 1, s.heard(s, b[:end])
		case end == 0:
			s.phase = live
		}
		return end + 1, nil
	case s.phase == connecting:
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			return 0, nil
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 101 ")) {
			return 0, fmt.Errorf("handshake refused: %.60q", b)
		}
		s.phase = joining
		return end + 4, nil
	}
	code, from, to := wstest.Frame(b)
	if to == 0 {
		return 0, nil
	}
	return to, s.frame(code, b[from:to])
}

func (s *subscriber) frame(code byte, payload []byte) error {
	switch code {
	case 0x9:
		s.beats++
		return s.say(wstest.Masked(0xa, payload))
	case 0x8:
		return fmt.Errorf("closed by the server: %q", payload)
	case 0x1:
	default:
		return fmt.Errorf("frame with opcode %d", code)
	}
	kind, ok := bytes.CutPrefix(payload, []byte(`{"type":"`))
	end := bytes.IndexByte(kind, '"')
	if !ok || end < 0 {
		return fmt.Errorf("frame without a type: %.60q", payload)
	}
	switch string(kind[:end]) {
	case "stock_changed", "task_changed":
		s.got++
		return s.heard(s, payload)
	case "heartbeat":
		s.beats++
	case "welcome":
		return s.say(wstest.Masked(0x1, []byte(`{"type":"subscribe","ref":"1","channel":"`+s.channel+`"}`)))
	case "subscribed":
		s.phase = live
	default:
		return fmt.Errorf("unexpected frame: %.120q", payload)
	}
	return nil
}

var errNoField = errors.New("event without the expected number")

// number reads the integer that follows the first occurrence of `"name":`.
func number(event []byte, name string) (int, error) {
	_, after, ok := bytes.Cut(event, []byte(`"`+name+`":`))
	end := bytes.IndexAny(after, ",}")
	if !ok || end < 0 {
		return 0, errNoField
	}
	return strconv.Atoi(string(after[:end]))
}
