package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// What bounds a connection's life and the time between two.
const (
	handshakeLimit = 10 * time.Second
	pingEvery      = 30 * time.Second // finds a connection that is half open
	pongLimit      = 10 * time.Second
	closeLimit     = time.Second
	waitLeast      = 500 * time.Millisecond
	waitMost       = 20 * time.Second
)

// finalError ends the tail: coming back would end the same way.
type finalError struct{ reason string }

func (e *finalError) Error() string { return e.reason }

// closes says what the protocol's close codes mean for who reads a terminal.
var closes = map[websocket.StatusCode]string{
	4000: "the bridge is going away",
	4001: "this terminal is too slow",
	4002: "the bridge did not hear from here",
	4003: "what this user may see has changed",
	4004: "the token has expired",
	4005: "what was shown may be out of date, fetch afresh",
	4500: "the bridge saw no token in time: give one with --token or --user",
	4501: "the token is refused: give a valid one with --token, or make one with --user",
	4503: "the origin is not let in: see server.allowed_origins",
	4504: "too many connections: close some, or see server.max_connections and those after it",
	4505: "the bridge did not understand this program: use the same version of both",

	websocket.StatusUnsupportedData:         "the bridge did not understand this program: use the same version of both",
	websocket.StatusInvalidFramePayloadData: "the bridge did not understand this program: use the same version of both",
	websocket.StatusMessageTooBig:           "the bridge refused what was sent as too long",
}

// connect holds one connection until it ends, which is always an error; opened tells whether it began.
func (t *tail) connect(ctx context.Context) (opened bool, err error) {
	token, err := t.token()
	if err != nil {
		return false, &finalError{err.Error()}
	}
	address := *t.address
	if t.cursor != "" {
		query := address.Query()
		query.Set("cursor", t.cursor)
		address.RawQuery = query.Encode()
	}
	handshake, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	conn, response, err := websocket.Dial(handshake, address.String(), &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		return false, t.refused(response, err)
	}
	defer func() { _ = conn.CloseNow() }() // the connection is over in any case
	conn.SetReadLimit(-1)                  // a row may be of any size
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer stop()
		watch(ctx, reading, conn, stop)
	}()
	err = t.read(reading, conn)
	stop()
	<-watched
	return true, err
}

// watch pings until the peer leaves one unanswered or reading ends, and says goodbye when ctx does.
func watch(ctx, reading context.Context, conn *websocket.Conn, stop func()) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-reading.Done():
			return
		case <-ctx.Done():
			impatient := time.AfterFunc(closeLimit, stop)
			_ = conn.Close(websocket.StatusNormalClosure, "") // best effort: the user is leaving
			impatient.Stop()
			return
		case <-ticker.C:
			limit, cancel := context.WithTimeout(reading, pongLimit)
			err := conn.Ping(limit)
			cancel()
			if err != nil {
				return
			}
		}
	}
}

// read prints frames until the connection ends.
func (t *tail) read(ctx context.Context, conn *websocket.Conn) error {
	for {
		_, frame, err := conn.Read(ctx)
		if err != nil {
			return t.closed(err)
		}
		var head struct {
			ID     string `json:"id"`
			Cursor string `json:"cursor"`
		}
		if err := json.Unmarshal(frame, &head); err != nil {
			return &finalError{"the peer sends something that is not rowfeed's protocol: check --url"}
		}
		if !t.seen.add(head.ID) {
			if err := t.printer.print(frame); err != nil {
				return &finalError{fmt.Sprintf("write event: %v", err)}
			}
		}
		if head.Cursor != "" {
			t.cursor = head.Cursor // only now: what was not shown is not vouched for
		}
	}
}

// recentLimit bounds the ids that are remembered: some 100 bytes each.
const recentLimit = 50_000

// recent remembers the ids that came last. The zero value is ready to use.
type recent struct {
	ids   map[string]struct{}
	order []string // a ring
	next  int
}

// add tells whether the id is among them, and remembers it.
func (r *recent) add(id string) (known bool) {
	if id == "" {
		return false
	}
	if _, known = r.ids[id]; known {
		return true
	}
	if r.ids == nil {
		r.ids = map[string]struct{}{}
	}
	if len(r.order) < recentLimit {
		r.order = append(r.order, id)
	} else {
		delete(r.ids, r.order[r.next])
		r.order[r.next] = id
		r.next = (r.next + 1) % recentLimit
	}
	r.ids[id] = struct{}{}
	return false
}

// closed makes an error of the end of a connection, final where the protocol says not to come back.
func (t *tail) closed(err error) error {
	var end websocket.CloseError
	if !errors.As(err, &end) {
		return errors.New("the connection was lost")
	}
	if end.Code == 4005 {
		t.cursor = ""
	}
	text, known := closes[end.Code]
	if !known {
		text = "the bridge closed the connection"
	}
	if reason := printable(end.Reason); reason != "" {
		text += " (" + strconv.Itoa(int(end.Code)) + " " + reason + ")"
	} else {
		text += " (" + strconv.Itoa(int(end.Code)) + ")"
	}
	again := end.Code >= 4000 && end.Code < 4500 || !known && end.Code < 4000
	if again {
		return errors.New(text)
	}
	return &finalError{text}
}

// refused makes an error of a handshake that came to nothing, final where the answer will not change by itself.
func (t *tail) refused(response *http.Response, err error) error {
	place := t.address.Host
	if response == nil {
		return fmt.Errorf("connect to %s: %w: is `rowfeed serve` running there? Else give --url", place, cause(err))
	}
	what := "answers " + response.Status
	if body, e := io.ReadAll(io.LimitReader(response.Body, 200)); e == nil {
		if line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n"); line != "" {
			what += " (" + printable(line) + ")"
		}
	}
	switch code := response.StatusCode; {
	case code == http.StatusNotFound:
		_, path, _ := strings.Cut(t.address.Path, "/ws/")
		return &finalError{fmt.Sprintf("%s %s: is %s in the configuration, and --url right?", place, what, path)}
	case code < 500 && code != http.StatusTooManyRequests && code != http.StatusRequestTimeout:
		return &finalError{fmt.Sprintf("%s %s: check --url and the token", place, what)}
	default:
		return fmt.Errorf("%s %s", place, what)
	}
}

// cause is the innermost of an error: what the network says, without the layers in between.
func cause(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}

// fullJitter waits a random time, up to one that doubles with each attempt, so that many who lost the same bridge
// don't come back at once.
func fullJitter(ctx context.Context, attempt int) error {
	most := min(waitLeast<<min(attempt, 10), waitMost)
	timer := time.NewTimer(waitLeast/2 + rand.N(most))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
