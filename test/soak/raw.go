//go:build linux

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"

	"nalar.internal/rowfeed/test/wstest"
)

// raw is one client's side of a conversation without its socket, for many of them in one goroutine: it is fed what the
// socket brought, and says what is to be sent. It speaks just enough WebSocket (RFC 6455) and rowfeed.v1 to subscribe
// to one channel.
type raw struct {
	number    int
	token     string
	subscribe string // the frame
	say       func([]byte) error
	heard     func(event []byte) error
	regranted func() error // told that what it may see has changed; nil: that is not to be

	upgraded, subscribed bool
	rest                 []byte // of a frame that is not there as a whole yet
}

// hello is the handshake.
func (r *raw) hello(host string) []byte {
	key := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(make([]byte, 8), uint64(r.number)))
	return fmt.Appendf(nil, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: rowfeed.v1\r\n"+
		"Authorization: Bearer %s\r\n\r\n", host, key, r.token)
}

// feed takes what the socket brought.
func (r *raw) feed(b []byte) error {
	if len(r.rest) > 0 {
		r.rest = append(r.rest, b...)
		b = r.rest
	}
	for {
		n, err := r.take(b)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	r.rest = append(r.rest[:0], b...)
	return nil
}

// take handles what b begins with and returns its length; 0 is not there as a whole.
func (r *raw) take(b []byte) (int, error) {
	if !r.upgraded {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			return 0, nil
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 101 ")) {
			return 0, fmt.Errorf("handshake refused: %.60q", b)
		}
		r.upgraded = true
		return end + 4, nil
	}
	code, from, to := wstest.Frame(b)
	if to == 0 {
		return 0, nil
	}
	return to, r.frame(code, b[from:to])
}

func (r *raw) frame(code byte, payload []byte) error {
	switch code {
	case 0x9:
		return r.say(wstest.Masked(0xa, payload))
	case 0x8:
		return fmt.Errorf("closed by the server: %q", payload)
	}
	kind := textOf(payload, "type")
	switch string(kind) {
	case "welcome":
		return r.say(wstest.Masked(0x1, []byte(r.subscribe)))
	case "subscribed":
		r.subscribed = true
		if bytes.Contains(payload, []byte(`"resumed":false`)) && bytes.Contains([]byte(r.subscribe), []byte(`"cursor"`)) {
			return fmt.Errorf("not resumed: %.200q", payload)
		}
	case "heartbeat":
	case "resync":
		if r.regranted == nil || string(textOf(payload, "reason")) != "grants_changed" {
			return fmt.Errorf("unexpected resync: %.200q", payload)
		}
		return r.regranted()
	case "pulse_changed", "parcel_changed":
		return r.heard(payload)
	default:
		return fmt.Errorf("unexpected frame: %.200q", payload)
	}
	return nil
}

// textOf returns the string that follows the last `"name":"`; nil where there is none. What it is used for needs no
// escapes.
func textOf(frame []byte, name string) []byte {
	at := bytes.LastIndex(frame, []byte(`"`+name+`":"`))
	if name == "type" { // it comes first
		at = bytes.Index(frame, []byte(`"type":"`))
	}
	if at < 0 {
		return nil
	}
	after := frame[at+len(name)+4:]
	return after[:max(0, bytes.IndexByte(after, '"'))]
}

// numberOf reads an integer of an event's data.
func numberOf(event []byte, name string) (int, error) {
	_, data, _ := bytes.Cut(event, []byte(`"data":{`))
	_, after, ok := bytes.Cut(data, []byte(`"`+name+`":`))
	end := bytes.IndexAny(after, ",}")
	if !ok || end < 0 {
		return 0, fmt.Errorf("event without %s: %.200q", name, event)
	}
	return strconv.Atoi(string(after[:end]))
}
