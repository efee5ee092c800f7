package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Stream is a client of Server-Sent Events that reads as an EventSource does: HTML Living Standard, section 9.2.6.
type Stream struct {
	ID       string // the last event id: what an EventSource reconnects with
	Retry    string // the last retry, in milliseconds
	Response *http.Response

	t      testing.TB
	r      *bufio.Reader
	cancel context.CancelFunc
	last   byte // the line break before, to take CR LF for one
	buffer string
}

// StreamEvent is one dispatched event.
type StreamEvent struct {
	ID, Event, Data string
}

// Events opens GET path, as an EventSource would but with the token in a header.
func (r *Rig) Events(t testing.TB, path, token string, header ...string) *Stream {
	t.Helper()
	h := http.Header{"Authorization": {"Bearer " + token}, "Accept": {"text/event-stream"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	s := r.Stream(t, http.MethodGet, path, h, "")
	s.buffer = h.Get("Last-Event-ID") // what an EventSource came back with it keeps until it hears another
	s.ID = s.buffer
	return s
}

// Subscribe opens POST /sse with the subscriptions, a JSON array's elements, and reads the welcome.
func (r *Rig) Subscribe(t testing.TB, token, subscriptions string) *Stream {
	t.Helper()
	h := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	s := r.Stream(t, http.MethodPost, "/sse", h, `{"subscriptions":[`+subscriptions+`]}`)
	if f := s.Frame(); f["type"] != "welcome" {
		t.Fatalf("want welcome, got %v", f)
	}
	return s
}

// Stream opens a stream, which must be granted.
func (r *Rig) Stream(t testing.TB, method, path string, header http.Header, body string) *Stream {
	t.Helper()
	s, text := r.TryStream(t, method, path, header, body)
	if s.Response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %s", method, path, s.Response.Status, text)
	}
	return s
}

// TryStream sends the request for a stream; where it is refused it returns the response's body too.
func (r *Rig) TryStream(t testing.TB, method, path string, header http.Header, body string) (*Stream, string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.Addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	limit := time.AfterFunc(Limit, cancel)
	defer limit.Stop()
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	t.Cleanup(func() { res.Body.Close() })
	s := &Stream{Response: res, t: t, r: bufio.NewReader(res.Body), cancel: cancel}
	if res.StatusCode == http.StatusOK {
		return s, ""
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: read body: %v", method, path, err)
	}
	return s, string(b)
}

// Drop ends the connection as a network does.
func (s *Stream) Drop() { s.cancel() }

// Next returns the next event that is no heartbeat.
func (s *Stream) Next() StreamEvent {
	s.t.Helper()
	for {
		e, err := s.Read()
		if err != nil {
			s.t.Fatalf("read event: %v", err)
		}
		if e.Event != "heartbeat" {
			return e
		}
	}
}

// Frame returns the next event's data, which must be a JSON object and of no name, passing over heartbeats.
func (s *Stream) Frame() map[string]any {
	s.t.Helper()
	for {
		e := s.Next()
		var v map[string]any
		dec := json.NewDecoder(strings.NewReader(e.Data))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil || e.Event != "message" {
			s.t.Fatalf("want a frame, got %+v (%v)", e, err)
		}
		if v["type"] != "heartbeat" {
			return v
		}
	}
}

// Closed reads to the end and returns what the close event said, which must be the last one.
func (s *Stream) Closed() (code int, reason string) {
	s.t.Helper()
	for {
		e, err := s.Read()
		switch {
		case errors.Is(err, io.EOF) && code != 0:
			return code, reason
		case err != nil:
			s.t.Fatalf("want a close event, got %v", err)
		case code != 0:
			s.t.Fatalf("after the close event: %+v", e)
		case e.Event == "close":
			var v struct {
				Code   int
				Reason string
			}
			if err := json.Unmarshal([]byte(e.Data), &v); err != nil || v.Code == 0 {
				s.t.Fatalf("close event: %q %v", e.Data, err)
			}
			code, reason = v.Code, v.Reason
		}
	}
}

// Read returns the next event, or how the stream ended.
func (s *Stream) Read() (StreamEvent, error) {
	limit := time.AfterFunc(Limit, s.cancel)
	defer limit.Stop()
	e := StreamEvent{Event: "message"}
	var data []string
	for {
		line, err := s.Line()
		if err != nil {
			return e, err // what is not ended by an empty line is thrown away
		}
		if line == "" {
			s.ID = s.buffer
			if len(data) > 0 {
				e.ID, e.Data = s.ID, strings.Join(data, "\n")
				return e, nil
			}
			e.Event = "message"
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "data":
			data = append(data, value)
		case "event":
			e.Event = value
		case "id":
			if !strings.Contains(value, "\x00") {
				s.buffer = value
			}
		case "retry":
			if _, err := strconv.ParseUint(value, 10, 32); err == nil {
				s.Retry = value
			}
		}
	}
}

// Line returns the next line as it is on the wire; CR, LF and CR LF end one.
func (s *Stream) Line() (string, error) {
	var line []byte
	for {
		b, err := s.r.ReadByte()
		if err != nil {
			return "", err
		}
		before := s.last
		s.last = 0
		switch {
		case b == '\n' && before == '\r' && len(line) == 0:
		case b == '\n' || b == '\r':
			s.last = b
			return string(line), nil
		default:
			line = append(line, b)
		}
	}
}
