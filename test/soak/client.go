//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// client is a subscriber as the wire contract wants it: it comes back after each lost connection with its newest cursor
// and drops by id what it has.
type client struct {
	name      string
	address   func() string // host:port to connect to
	token     string
	channel   string
	topics    []string // subscriptions of the full protocol: what follows the channel in JSON, as `,"resource":"x"`
	path      string   // or a plain endpoint
	smallRead bool     // a small receive buffer: what is not read soon fills the bridge's queue

	mu       sync.Mutex
	conn     *websocket.Conn
	cursors  []string // the newest ones, oldest first
	back     int      // how many cursors to go back at the next connection
	ids      map[string]struct{}
	log      []arrival // what came for the first time, in order
	versions map[version]struct{}
	tally    tally
	answered int   // subscriptions of this connection
	stale    bool  // was told to fetch afresh and has not yet
	ended    error // a fault of the protocol, after which the client does not come back

	// afresh reads what there is, as a client does that was told to; nil: what was missed is missed.
	afresh func(ctx context.Context) ([]version, error)
	known  map[version]struct{} // what was read so

	reading sync.Mutex // held while the client is not to read
}

// version is one state of one row: twice its number, and one more where it was deleted.
type version struct{ row, at int }

type arrival struct {
	version
	mark string
	told int // how often the client had been told to fetch afresh by then
}

// tally counts what happened to a client.
type tally struct {
	connections, cut, resumed, refused, resyncs int
	events                                      int // as they came
	repeats                                     int // of these, known from an earlier connection: dropped by id
	twice                                       int // of these, known from the same connection
	slow                                        int // closed as a slow consumer
}

func (t *tally) add(o tally) {
	t.connections, t.cut, t.resumed, t.refused = t.connections+o.connections, t.cut+o.cut, t.resumed+o.resumed, t.refused+o.refused
	t.resyncs, t.events, t.repeats = t.resyncs+o.resyncs, t.events+o.events, t.repeats+o.repeats
	t.twice, t.slow = t.twice+o.twice, t.slow+o.slow
}

// keptCursors is how far back a client can go.
const keptCursors = 16

// run converses until ctx ends.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := c.converse(ctx)
		c.mu.Lock()
		if c.conn = nil; c.ended != nil {
			c.mu.Unlock()
			return
		}
		var closed websocket.CloseError
		switch {
		case ctx.Err() != nil:
		case errors.As(err, &closed) && closed.Code == 4001:
			c.tally.slow++
		case errors.As(err, &closed) && closed.Code == 4005:
			c.cursors, c.stale = nil, true
			c.tally.resyncs++
		case errors.As(err, &closed) && closed.Code >= 4500:
			c.ended = fmt.Errorf("%s: closed for good: %w", c.name, err)
		default:
			c.tally.cut++
		}
		c.mu.Unlock()
		_ = pause(ctx, 5*time.Millisecond+rand.N(40*time.Millisecond)) // backoff, as clients have to
	}
}

// converse is one connection.
func (c *client) converse(ctx context.Context) error {
	c.mu.Lock()
	cursor := ""
	if n := len(c.cursors); n > 0 {
		cursor = c.cursors[max(0, n-1-c.back)]
	}
	c.back = 0
	c.mu.Unlock()
	conn, err := c.dial(ctx, cursor)
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(64 << 20)
	c.mu.Lock()
	c.conn, c.answered = conn, 0
	c.tally.connections++
	stale := c.stale
	c.mu.Unlock()
	if stale { // a plain endpoint: the subscription is live once it is open
		if err := c.fetch(ctx); err != nil {
			return err
		}
	}
	seen := map[string]struct{}{}
	for {
		c.turn()
		_, text, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		if err := c.frame(ctx, conn, text, cursor, seen); err != nil {
			return err
		}
	}
}

// turn waits until the client may read.
func (c *client) turn() {
	c.reading.Lock()
	defer c.reading.Unlock()
}

func (c *client) dial(ctx context.Context, cursor string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	dialer := &net.Dialer{}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err == nil && c.smallRead {
			err = conn.(*net.TCPConn).SetReadBuffer(128 << 10)
		}
		return conn, err
	}}
	o := &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Authorization": {"Bearer " + c.token}},
	}
	target := "ws://" + c.address() + "/ws"
	switch {
	case c.path == "":
		o.Subprotocols = []string{"rowfeed.v1"}
	case cursor == "":
		target += c.path
	default:
		target += c.path + "?cursor=" + url.QueryEscape(cursor)
	}
	conn, res, err := websocket.Dial(ctx, target, o)
	if err != nil && res != nil && res.StatusCode < 500 {
		return nil, c.fail(fmt.Errorf("handshake refused: %s", res.Status))
	}
	return conn, err
}

// frame is what the harness reads of any frame of the server.
type frame struct {
	Type, ID, Op, Ref, Code, Reason string
	Resumed                         bool
	Cursor                          string
	Cursors                         map[string]string
	Data                            struct {
		ID, N int
		Mark  string
	}
}

// frame takes a frame; its error ends the connection.
func (c *client) frame(ctx context.Context, conn *websocket.Conn, text []byte, cursor string, seen map[string]struct{}) error {
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		return c.fail(fmt.Errorf("frame is not JSON: %.80q", text))
	}
	switch f.Type {
	case "welcome":
		for i, topic := range c.topics {
			if cursor != "" {
				topic += fmt.Sprintf(`,"cursor":%q`, cursor)
			}
			subscribe := fmt.Sprintf(`{"type":"subscribe","ref":"%d","channel":%q%s}`, i, c.channel, topic)
			if err := conn.Write(ctx, websocket.MessageText, []byte(subscribe)); err != nil {
				return err
			}
		}
	case "error":
		return c.fail(fmt.Errorf("error frame: %s", f.Code))
	case "resync":
		c.mu.Lock()
		c.tally.resyncs++
		c.mu.Unlock()
		return c.fetch(ctx)
	default:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.take(&f, cursor, seen)
	}
	return nil
}

// fetch does what a client has to that was told to fetch afresh. Its subscription is live meanwhile.
func (c *client) fetch(ctx context.Context) error {
	if c.afresh == nil {
		return nil
	}
	list, err := c.afresh(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range list {
		c.known[v], c.versions[v] = struct{}{}, struct{}{}
	}
	c.stale = false
	return nil
}

// take notes what a frame says; c.mu is held.
func (c *client) take(f *frame, given string, seen map[string]struct{}) {
	switch {
	case f.Type == "subscribed":
		c.answered++
		if f.Resumed {
			c.tally.resumed++
		} else if given != "" {
			c.tally.refused++
		}
	case f.Type == "heartbeat":
		c.place(f.Cursors[c.channel])
	case strings.HasSuffix(f.Type, "_changed"):
		c.event(f, seen)
		c.place(f.Cursor)
	}
}

// event notes an event, unless its id is known.
func (c *client) event(f *frame, seen map[string]struct{}) {
	c.tally.events++
	_, twice := seen[f.ID]
	_, known := c.ids[f.ID]
	switch {
	case twice:
		c.tally.twice++
		return
	case known:
		seen[f.ID] = struct{}{}
		c.tally.repeats++
		return
	}
	seen[f.ID], c.ids[f.ID] = struct{}{}, struct{}{}
	a := arrival{version{f.Data.ID, 2 * f.Data.N}, f.Data.Mark, c.tally.resyncs}
	if f.Op == "delete" {
		a.at++
	}
	c.log = append(c.log, a)
	c.versions[a.version] = struct{}{}
}

// place takes a cursor that was received. Until all subscriptions are answered it does not speak for those that are not.
func (c *client) place(cursor string) {
	if c.path == "" && c.answered < len(c.topics) {
		return
	}
	if n := len(c.cursors); cursor == "" || n > 0 && c.cursors[n-1] == cursor {
		return
	}
	if len(c.cursors) == keptCursors {
		c.cursors = append(c.cursors[:0], c.cursors[1:]...)
	}
	c.cursors = append(c.cursors, cursor)
}

// fail notes a fault that a client does not come back from.
func (c *client) fail(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = fmt.Errorf("%s: %w", c.name, err)
	return c.ended
}

// drop cuts the client's connection without a word; the next one begins with the cursor that was so many before the
// newest.
func (c *client) drop(back int) {
	c.mu.Lock()
	conn := c.conn
	c.back = back
	c.mu.Unlock()
	if conn != nil {
		_ = conn.CloseNow()
	}
}

// has tells whether the client has got that state of the row.
func (c *client) has(v version) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.versions[v]
	return ok, c.ended
}

// placed tells whether the client has a cursor.
func (c *client) placed() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.cursors) > 0, c.ended
}
