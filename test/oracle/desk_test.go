package oracle_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/router"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/oracle"
	"nalar.internal/rowfeed/test/rig"
)

// desk is the bridge from rule to router, over a tape, with sinks that write down what they get.
type desk struct {
	tape
	rules     *rule.Channel
	router    *router.Channel
	relations map[capturedBy]*change.Relation
	sinks     []*sink
	frames    map[string]line
	pinned    bool // somebody is about to read from memory
	forgetful bool // what lies before the last tick is only in the outbox
}

// office is what desks of the same rules share.
type office struct {
	rules     *rule.Channel
	relations map[capturedBy]*change.Relation
}

func newOffice(rules []*oracle.Rule) (*office, error) {
	cfg := &config.Config{Channels: map[string]config.Channel{"c": {Class: config.Lossless}}}
	ch := cfg.Channels["c"]
	for _, r := range rules {
		ch.Rules = append(ch.Rules, configured(r))
	}
	cfg.Channels["c"] = ch
	book, problems := rule.Compile(cfg)
	if len(problems) > 0 {
		return nil, config.Problems(problems)
	}
	o := &office{rules: book.Channel("c"), relations: map[capturedBy]*change.Relation{}}
	kinds := []change.Kind{change.Integer, change.Text, change.Text, change.JSON, change.Text, change.Integer, change.Numeric, change.Float, change.Bool}
	for _, t := range tables {
		for _, lacks := range append([]string{""}, names[2:]...) {
			rel := &change.Relation{Table: t.Name, Key: t.Key}
			for i, name := range names {
				if name != lacks {
					rel.Columns = append(rel.Columns, change.Column{Name: name, Kind: kinds[i], Type: types[i]})
				}
			}
			o.relations[capturedBy{t, lacks}] = rel
		}
	}
	return o, nil
}

// configured writes a rule as the configuration has it.
func configured(r *oracle.Rule) config.Rule {
	c := config.Rule{
		Table: r.Table.Name, Event: r.Event, Resource: r.Resource, Columns: r.Columns, Watch: r.Watch, Operations: r.Operations,
		Strings: r.Strings, Tenant: r.Tenant, Audience: r.Audience, Message: r.Message, Link: r.Link,
	}
	if r.If != nil {
		c.If = r.If.Text
	}
	for _, f := range r.Data {
		if c.Data == nil {
			c.Data = map[string]string{}
		}
		c.Data[f.Name] = f.Column
	}
	return c
}

func (o *office) open(horizon bool) *desk {
	anyTenant, tenants := o.rules.Scopes()
	d := &desk{tape: tape{ticks: []int{0}}, rules: o.rules, relations: o.relations, frames: map[string]line{},
		router: router.NewChannel("c", anyTenant, tenants, func() {})}
	d.forgetful = horizon
	d.router.Settle(cursorAt(0).String())
	return d
}

// replay serves those who come back until ctx ends.
func (d *desk) replay(ctx context.Context) {
	_ = d.router.Replay(ctx, router.Past{Memory: &d.tape, Outbox: past{&d.tape}, Gone: errGone, Log: zap.NewNop(),
		Apply: func(at change.Place, r *change.Record, out router.Output) {
			d.rules.Apply(at, d.change(r), quiet{out})
		}})
}

// quiet is rule.Output for the past, and, with the router, for what is live.
type quiet struct{ router.Output }

func (quiet) Fault(rule.Fault) {}

type live struct{ c *router.Channel }

func (l live) Event(e *change.Event)  { l.c.Route(e) }
func (l live) Notice(n change.Notice) { l.c.Notify(n) }

// happen routes a change.
func (d *desk) happen(c *oracle.Change) {
	d.add(c, d.relations)
	n := len(d.changes) - 1
	d.rules.Apply(d.place(n), d.changes[n], quiet{live{d.router}})
}

// flush ends a sweep.
func (d *desk) flush() {
	d.router.Flush(d.End())
	d.router.Settle(d.tick())
	if d.forgetful && !d.pinned && !slices.ContainsFunc(d.sinks, func(s *sink) bool { return s.room == 0 }) {
		d.forget()
	}
}

// sink is a session: what it heard, in lines as oracle.Seat has them, each event with its id and cursor.
type sink struct {
	room int // of the past; below 0: any number
	subs map[string]*router.Subscription
	got  []line

	frames map[string]line // that any sink of the desk has read
}

type line struct{ text, id, cursor string }

func (s *sink) Send(m *change.Message)  { s.take(m) }
func (s *sink) Queue(m *change.Message) { s.take(m) }

func (s *sink) Offer(m *change.Message, _ *router.Channel) bool {
	if s.room == 0 {
		return false
	}
	s.room--
	s.take(m)
	return true
}

func (s *sink) Slow() { s.got = append(s.got, line{text: "slow"}) }

func (s *sink) Resync(n change.Notice, ref string) {
	s.got = append(s.got, line{text: fmt.Sprintf("resync %s %s %s", n.Resource, n.Reason, ref)})
}

// take reads the frames of a message, of which a joined one has several: RFC 6455, section 5.2.
func (s *sink) take(m *change.Message) {
	for b := m.Frame(); len(b) > 0; {
		n, header := int(b[1]), 2
		if n == 126 {
			n, header = int(binary.BigEndian.Uint16(b[2:])), 4
		}
		s.got = append(s.got, s.read(b[header:header+n]))
		b = b[header+n:]
	}
}

// read takes a frame apart, once for all who share it.
func (s *sink) read(payload []byte) line {
	l, ok := s.frames[string(payload)]
	if !ok {
		l = read(payload)
		s.frames[string(payload)] = l
	}
	return l
}

// read takes a frame apart. What the oracle has no word for is an error.
func read(payload []byte) line {
	var f struct {
		Type, ID, Channel, Resource, Op, At, TxID, Cursor string
		ResourceID                                        json.RawMessage `json:"resource_id"`
		Data, Old                                         map[string]json.RawMessage
		Message, Link                                     *string
		Answer                                            string
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return line{text: fmt.Sprintf("%v: %s", err, payload)}
	}
	if f.Answer != "" {
		return line{text: f.Answer}
	}
	e := oracle.Event{Type: f.Type, Channel: f.Channel, Resource: f.Resource, Op: f.Op, Key: string(f.ResourceID),
		Data: plain(f.Data), Old: plain(f.Old)}
	if f.Message != nil {
		e.Message = "+" + *f.Message
	}
	if f.Link != nil {
		e.Link = "+" + *f.Link
	}
	return line{e.String(), f.ID, f.Cursor}
}

func plain(m map[string]json.RawMessage) map[string]string {
	if m == nil {
		return nil
	}
	p := make(map[string]string, len(m))
	for name, v := range m {
		p[name] = string(v)
	}
	return p
}

// answer is the frame that answers a subscription.
func answer(ref string) func(bool) *change.Message {
	return func(resumed bool) *change.Message {
		return change.NewMessage(64, func(dst []byte) []byte { return fmt.Appendf(dst, `{"answer":"answer %s %v"}`, ref, resumed) })
	}
}

// request is a subscription as the router has it.
func request(q oracle.Subscription) router.Request {
	r := router.Request{Ref: q.Ref, Resource: q.Resource}
	if q.Key != nil {
		raw, _ := json.Marshal(q.Key)
		r.Keyed = true
		r.Key, _ = change.KeyFromJSON(raw)
	}
	for name, texts := range q.Where {
		c := router.Condition{Field: name, Values: map[string]struct{}{}}
		for _, t := range texts {
			if text, ok := router.Scalar([]byte(t)); ok {
				c.Values[text] = struct{}{}
			}
		}
		r.Where = append(r.Where, c)
	}
	return r
}

// scoped returns what a user's grants are once a token with them was accepted.
func scoped(u oracle.User) ([]string, error) {
	key := u.Tenant + "\n" + strings.Join(u.Grants, "\n")
	if known, ok := identities.Load(key); ok {
		return known.([]string), nil
	}
	auth := config.Auth{User: "{user_id}", Grants: []string{"{grants}"},
		JWT: config.JWT{Algorithms: []string{"HS256"}, Secret: rig.Secret}}
	claims := map[string]any{"user_id": 7, "grants": u.Grants}
	if u.Tenant != "" {
		auth.Tenant, claims["tenant"] = "{tenant}", u.Tenant
	}
	a, err := audience.New(auth, nil, zap.NewNop())
	if err != nil {
		return nil, err
	}
	who, err := a.Identify(context.Background(), rig.Token(claims))
	if err != nil {
		return nil, err
	}
	identities.Store(key, who.Grants)
	return who.Grants, nil
}

var identities sync.Map

func (*sink) Failed(v any) { panic(v) }
