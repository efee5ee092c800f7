package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/router"
	"nalar.internal/rowfeed/config"
)

// desk makes a server that no network leads to.
func desk(t testing.TB) *Server {
	t.Helper()
	cfg := &config.Config{Auth: config.Auth{Deadline: time.Minute}, Server: config.Server{
		MaxConnections: 100, MaxConnectionsPerUser: 100, MaxConnectionsPerAddress: 100, MaxSubscriptions: 3, FramesPerSecond: 1000,
	}}
	fields := map[string]bool{"id": true, "n": true}
	channel := router.NewChannel("c", true, true, func() {})
	srv, err := New(Options{
		Config: cfg, Log: zap.NewNop(), Identify: onlyGood,
		Channels: map[string]Channel{"c": {Router: channel, Fields: map[string]map[string]bool{"": fields, "rows": fields}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.poller.release)
	return srv
}

func onlyGood(_ context.Context, token string) (*audience.Identity, error) {
	if token != "good" {
		return nil, &audience.Refusal{Reason: "refused"}
	}
	return &audience.Identity{User: "1", Expires: time.Now().Add(time.Hour), Grants: []string{change.Scope("", "user:1")}}, nil
}

// seat makes a session that is connected to nothing: what it would send stays in its queue.
func (srv *Server) seat(known bool) *Session {
	s := &Session{srv: srv, slot: -1}
	srv.register(s)
	if known {
		who, _ := onlyGood(context.Background(), "good")
		s.become(who)
	}
	return s
}

// said takes what waits in the session's queue, each with its opcode.
func (s *Session) said() (opcodes []byte, payloads [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.q.items[s.q.head:] {
		for b := m.Frame(); len(b) > 1; {
			n, from := int(b[1]), 2
			switch n {
			case 126:
				n, from = int(binary.BigEndian.Uint16(b[2:])), 4
			case 127:
				n, from = int(binary.BigEndian.Uint64(b[2:])), 10
			}
			opcodes, payloads = append(opcodes, b[0]&0xf), append(payloads, b[from:from+n])
			b = b[from+n:]
		}
	}
	s.q = queue{}
	return opcodes, payloads
}

// answers are the types of frames that a client's frame may be answered by.
var answers = map[string]bool{
	"welcome": true, "subscribed": true, "unsubscribed": true, "pong": true, "error": true, "resync": true,
}

var codes = map[string]bool{
	errBadFrame: true, errUnknownType: true, errUnknownChannel: true, errUnknownColumn: true, errForbidden: true, errTooMany: true,
	errRateLimited: true, errTooLarge: true, errInternal: true,
}

// judgeAnswers checks all that was said after a frame: whole frames of the protocol, few and short, and nothing before
// it is known who asks but what concerns that.
func judgeAnswers(t *testing.T, s *Session, sent []byte, known bool) {
	t.Helper()
	opcodes, payloads := s.said()
	if len(payloads) > 4 {
		t.Errorf("%q: %d answers", sent, len(payloads))
	}
	for i, p := range payloads {
		if opcodes[i] != 1 {
			continue
		}
		var f struct{ Type, Ref, Code, Message string }
		if err := json.Unmarshal(p, &f); err != nil || !answers[f.Type] || !utf8.Valid(p) || len(p) > 2<<10 {
			t.Errorf("%q: answered by %q (%v)", sent, p, err)
		}
		if f.Type == "error" && (!codes[f.Code] || f.Message == "") {
			t.Errorf("%q: answered by %q", sent, p)
		}
		if !known && (f.Type == "subscribed" || f.Type == "resync" || f.Type == "unsubscribed" || f.Code == errUnknownChannel) {
			t.Errorf("%q: a stranger hears %q", sent, p)
		}
		if bytes.Contains(p, []byte("secret-token")) {
			t.Errorf("%q: the answer has the token: %q", sent, p)
		}
	}
}

// frameSeeds reach each branch of the handler.
var frameSeeds = []string{
	`{"type":"ping"}`, `{"type":"auth","token":"good"}`, `{"type":"auth","token":"secret-token"}`, `{"type":"auth"}`, `{}`, `[]`, `null`, `x`,
	`{"type":"subscribe","ref":"1","channel":"c","resource":"rows","key":[1,"a,\\"],"where":{"n":[1,2.50,null,true,"x"],"id":1e400}}`,
	`{"type":"subscribe","ref":"1","channel":"c","cursor":"7f3a:a:b","rewind":1000}`, `{"type":"subscribe","channel":"c","rewind":-1}`,
	`{"type":"subscribe","channel":"c","rewind":1e3,"cursor":null}`, `{"type":"subscribe","channel":"none\u0000"}`,
	`{"type":"subscribe","channel":"c","resource":"rows","key":{"a":1}}`, `{"type":"subscribe","channel":"c","where":{"password":1}}`,
	`{"type":"unsubscribe","ref":"2","subscription":"1"}`, `{"type":"unsubscribe"}`, `{"type":"dance","ref":"\ud800"}`, `{"TYPE":"ping"}`,
	`{"type":"ping","type":"subscribe","channel":"c"}`, strings.Repeat(`{"type":`, 50), strings.Repeat("[", 200), "{\"type\":\"\xff\"}",
}

// FuzzFrame hands a client's frame to the real handler, twice, of a session whose user is known and of one who is not.
func FuzzFrame(f *testing.F) {
	for _, seed := range frameSeeds {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	srv := desk(f)
	f.Fuzz(func(t *testing.T, b []byte, known bool) {
		if !utf8.Valid(b) {
			return // such never come so far
		}
		s := srv.seat(known)
		defer s.kill()
		for range 2 {
			was := s.identity() != nil
			s.handle(b)
			judgeAnswers(t, s, b, was || s.identity() != nil)
			if n := len(s.subs); n > s.srv.cfg.Server.MaxSubscriptions {
				t.Errorf("%q: %d subscriptions", b, n)
			}
			if who := s.identity(); who != nil && who.User != "1" {
				t.Errorf("%q: became %q", b, who.User)
			}
		}
	})
}

// FuzzWire reads whatever a client may put on the wire through the WebSocket library and the session's reading side,
// cut into two pieces, and then ends the connection: the session ends, says nothing but whole frames of the protocol,
// and has given back what it held.
func FuzzWire(f *testing.F) {
	raw := func(first byte, payload string) []byte { return masked(first, payload) }
	for i, seed := range frameSeeds {
		f.Add(raw(0x81, seed), i)
	}
	for _, seed := range [][]byte{
		append(append(raw(0x01, `{"type":`), raw(0x89, "between")...), raw(0x80, `"ping"}`)...), raw(0x88, "\x03\xe8bye"), raw(0x88, "\x00"),
		raw(0x88, ""), raw(0x82, "binary"), raw(0xc1, "compressed"), raw(0x83, "x"), raw(0x80, "of nothing"), raw(0x09, "in pieces"),
		{0x81, 1, 'x'}, {0x89, 0xfe, 0, 200, 0, 0, 0, 0}, {0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		{0x81, 0xfe, 0, 1, 1, 2, 3, 4, 'x'}, bytes.Repeat(raw(0x89, "x"), 40), append(raw(0x88, "\x03\xe8"), raw(0x81, `{"type":"ping"}`)...),
	} {
		f.Add(seed, len(seed)/2)
	}
	srv := desk(f)
	f.Fuzz(func(t *testing.T, wire []byte, cut int) {
		if len(wire) > 64<<10 {
			return
		}
		s := srv.seat(true)
		local, remote := net.Pipe()
		s.nc = local
		in := newEngine() // an idle one may have parked
		in.take(s)
		in.slot = &slot{}
		go func() {
			cut = min(max(cut, 0), len(wire))
			for _, piece := range [][]byte{wire[:cut], wire[cut:]} {
				if _, err := remote.Write(piece); err != nil {
					break
				}
			}
			remote.Close()
		}()
		err := s.readMessages()
		if err == nil {
			t.Fatal("reading ends without an error")
		}
		if code := websocket.CloseStatus(err); code != -1 && (code < 1000 || code > 4999) {
			t.Errorf("close code %d was taken", code)
		}
		s.readFailed(err)
		in.give(s, false)
		judgeWire(t, s, wire)
		s.kill()
		local.Close()
		if s.srv.Stats.Open.Load() != 0 || len(s.srv.users)+len(s.srv.addresses)+len(s.srv.stragglers) != 0 {
			t.Errorf("%q: something is left of the session", wire)
		}
	})
}

// judgeWire checks what waits for the wire: nothing follows a close frame, whose code is one of the contract, and
// pongs have what the pings had.
func judgeWire(t *testing.T, s *Session, wire []byte) {
	t.Helper()
	opcodes, payloads := s.said()
	for i, op := range opcodes {
		switch op {
		case 1:
			if !json.Valid(payloads[i]) {
				t.Errorf("%q: answered by %q", wire, payloads[i])
			}
		case 8:
			if i != len(opcodes)-1 || len(payloads[i]) == 1 || len(payloads[i]) > 125 {
				t.Errorf("%q: close frame %q is number %d of %d", wire, payloads[i], i, len(opcodes))
			}
			if len(payloads[i]) > 2 && !utf8.Valid(payloads[i][2:]) {
				t.Errorf("%q: the reason is not UTF-8: %q", wire, payloads[i])
			}
		case 10:
			if len(payloads[i]) > 125 {
				t.Errorf("%q: a pong of %d bytes", wire, len(payloads[i]))
			}
		default:
			t.Errorf("%q: opcode %d", wire, op)
		}
	}
}
