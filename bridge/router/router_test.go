package router

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"nalar.internal/rowfeed/bridge/change"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a sink that keeps what it gets.
type recorder struct {
	got    []string
	voided []string
}

func (r *recorder) Queue(m *change.Message) { r.Send(m) }

// Send keeps the one-letter payloads of the frames, of which a joined message has several.
func (r *recorder) Send(m *change.Message) {
	for f := m.Frame(); len(f) > 0; f = f[3:] {
		r.got = append(r.got, string(f[2:3]))
	}
}

func (r *recorder) Offer(m *change.Message, _ *Channel) bool { r.Queue(m); return true }

func (r *recorder) Slow() {}

func (r *recorder) Resync(n change.Notice, sub string) {
	r.voided = append(r.voided, n.Reason+"/"+sub)
}

// fields is an event's body: one field per row.
type fields struct{ was, now string }

func (f *fields) Field(name string, was bool) ([]byte, bool) {
	v := f.now
	if was {
		v = f.was
	}
	return []byte(v), name == "v" && v != ""
}

func (f *fields) Append(dst []byte, v change.Variant, _ string) []byte { return append(dst, "wel"[v]) }

// request and person are the oracle's own picture: what was asked for and by whom, in words.
type request struct {
	resource, key string
	values        []string // of where on field v; nil: none
}

type person struct {
	grants []string
	due    []string // what the oracle expects and was not yet compared
	asks   map[*Subscription]request
}

// sees is the oracle: can the person see a row with this audience and value through any of their requests?
func (p *person) sees(e *change.Event, audience []string, value string) bool {
	if !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(p.grants, a) }) {
		return false
	}
	for _, r := range p.asks {
		if (r.resource == "" || r.resource == e.Resource) && (r.key == "" || r.key == e.Key) &&
			(r.values == nil || slices.Contains(r.values, value)) {
			return true
		}
	}
	return false
}

func (p *person) expects(e *change.Event, f *fields) []string {
	old, now := e.Was != nil && p.sees(e, e.Was, f.was), e.Now != nil && p.sees(e, e.Now, f.now)
	switch {
	case old && now, e.Op == change.Insert && now, e.Op == change.Delete && old:
		return []string{"w"}
	case now:
		return []string{"e"}
	case old:
		return []string{"l"}
	}
	return nil
}

// What is delivered is what may be seen and was asked for, once each, through any history of subscriptions, grants and
// events; and an empty index holds nothing.
func TestDeliversWhatMayBeSeen(t *testing.T) {
	t.Parallel()
	events := 0
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
		some := func(n int, list ...string) []string {
			out := []string{}
			for range rnd.IntN(n) {
				if v := pick(list...); !slices.Contains(out, v) {
					out = append(out, v)
				}
			}
			return out
		}
		grants := []string{change.Scope("a", "u1"), change.Scope("a", "u2"), change.Scope("b", "u1"), change.Scope(change.AnyTenant, "u1")}
		c := NewChannel("c", true, true, func() {})
		people := map[*recorder]*person{}
		for range 8 {
			people[&recorder{}] = &person{grants: some(4, grants...), asks: map[*Subscription]request{}}
		}
		for range 150 {
			for sink, p := range people {
				switch rnd.IntN(12) {
				case 0:
					r := request{resource: pick("", "x", "y")}
					if r.resource != "" && rnd.IntN(2) == 0 {
						r.key = pick("1", "2")
					}
					req := Request{Resource: r.resource, Keyed: r.key != "", Key: r.key, Ref: "s"}
					if rnd.IntN(3) == 0 {
						r.values = some(3, "1", "2", `"1`)
						values := map[string]struct{}{}
						for _, v := range r.values {
							values[v] = struct{}{}
						}
						req.Where = []Condition{{Field: "v", Values: values}}
					}
					p.asks[c.Subscribe(sink, p.grants, req, nil)] = r
				case 1:
					for s := range p.asks {
						s.Close()
						delete(p.asks, s)
						break
					}
				case 2:
					p.grants = some(4, grants...)
					c.Regrant(sink, p.grants)
				}
			}
			f := &fields{was: pick("1", "2", `"1"`), now: pick("1", "1.0", "2")}
			e := &change.Event{Channel: "c", Resource: pick("x", "y"), Key: pick("1", "2"), Body: f,
				Op: []change.Op{change.Insert, change.Update, change.Delete}[rnd.IntN(3)]}
			if e.Op != change.Insert {
				e.Was = some(3, grants...)
			}
			if e.Op != change.Delete {
				e.Now = some(3, grants...)
			}
			c.Route(e)
			oracle := &fields{strings.TrimSuffix(f.was, `"`), strings.TrimSuffix(f.now, ".0")}
			flushed := rnd.IntN(4) == 0
			if flushed {
				c.Flush(0)
			}
			for sink, p := range people {
				p.due = append(p.due, p.expects(e, oracle)...)
				events++
				if !flushed {
					continue
				}
				if !slices.Equal(sink.got, p.due) {
					t.Fatalf("seed %d: %+v: got %v, want %v", seed, e, sink.got, p.due)
				}
				sink.got, p.due = nil, nil
			}
		}
		for _, p := range people {
			for s := range p.asks {
				s.Close()
			}
		}
		if n := len(c.index) + len(c.members) + len(c.topics) + len(c.grants); n != 0 {
			t.Fatalf("seed %d: an empty channel holds %d entries", seed, n)
		}
	}
	t.Logf("%d judgements", events)
}

func TestNotify(t *testing.T) {
	t.Parallel()
	c := NewChannel("c", false, true, func() {})
	x, y := &recorder{}, &recorder{}
	gx, gy := change.Scope("", "x"), change.Scope("", "y")
	c.Subscribe(x, []string{gx}, Request{Ref: "all"}, nil)
	c.Subscribe(y, []string{gy}, Request{Ref: "r", Resource: "r"}, nil)
	c.Subscribe(y, []string{gy}, Request{Ref: "q", Resource: "q"}, nil)
	c.Notify(change.Notice{Channel: "c", Resource: "r", Reason: "truncated"})
	c.Notify(change.Notice{Channel: "c", Reason: "rule_error", Audience: []string{gx}})
	if got := fmt.Sprint(x.voided, y.voided); got != "[truncated/all rule_error/all] [truncated/r]" {
		t.Error(got)
	}
}

func TestScalar(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`5`: "5", `5.0`: "5", `5e0`: "5", `50e-1`: "5", ` "5" `: `"5`, `-0`: "0", `0.10`: "0.1", `1e3`: "1000", `true`: "true", `null`: "null",
		`"\u0041"`: `"A`, `123456789012345678901234567890`: "123456789012345678901234567890", `0.1e-300`: "0." + strings.Repeat("0", 300) + "1",
	} {
		if got, ok := Scalar([]byte(in)); !ok || got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{``, `{}`, `[1]`, `nul`, `1e99999`, `1e9999`, `1e-999`, `1e9223372036854775807`, `+1`, `01`, `"x`, `1 2`} {
		if got, ok := Scalar([]byte(in)); ok {
			t.Errorf("%s: accepted as %q", in, got)
		}
	}
}

// A number's text is the same number, however it was written.
func TestScalarNumbers(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		in := fmt.Sprint(rnd.IntN(2000)-1000, ".", rnd.IntN(1000), []string{"", "0", "00"}[rnd.IntN(3)])
		switch rnd.IntN(3) {
		case 0:
			in += fmt.Sprintf("e%+d", rnd.IntN(20)-10)
		case 1:
			in += fmt.Sprintf("E%d", rnd.IntN(20))
		}
		in = strings.ReplaceAll(in, " ", "")
		want, ok := new(big.Rat).SetString(in)
		if !ok {
			t.Fatalf("%q is no number", in)
		}
		text, ok := Scalar([]byte(in))
		got, number := new(big.Rat).SetString(text)
		if !ok || !number || got.Cmp(want) != 0 || strings.ContainsAny(text, "eE") ||
			strings.Contains(text, ".") && strings.HasSuffix(text, "0") {
			t.Fatalf("%s: got %q, want %s", in, text, want)
		}
	}
}

// Where a sink is in two channels, an event of one must not pass for a newer one of the other.
func TestRulesOfTwoChannels(t *testing.T) {
	t.Parallel()
	sink, grant := &keeper{}, []string{change.Scope("", "x")}
	for _, name := range []string{"a", "b"} {
		c := NewChannel(name, false, true, func() {})
		c.Subscribe(sink, grant, Request{}, nil)
		for range 2 {
			c.Route(&change.Event{Channel: name, Resource: "r", Key: "1", Op: change.Insert, Now: grant, Body: &fields{now: "1"}})
			c.Flush(0)
		}
	}
	if m := sink.got; m[0].Rule != m[1].Rule || m[1].Rule == m[2].Rule || m[2].Rule != m[3].Rule {
		t.Errorf("rules %d %d and %d %d", m[0].Rule, m[1].Rule, m[2].Rule, m[3].Rule)
	}
}

// broken is a body that can't be rendered.
type broken struct{ fields }

func (*broken) Append([]byte, change.Variant, string) []byte { panic("broken") }

// An event that can't be rendered is nobody's: those that it was for are not sent the next one, which is another's, and
// what is handed out of the past after it has its own place.
func TestPanicWhileRendering(t *testing.T) {
	t.Parallel()
	c := NewChannel("c", false, true, func() {})
	x, y := &recorder{}, &recorder{}
	gx, gy := []string{change.Scope("", "x")}, []string{change.Scope("", "y")}
	c.Subscribe(x, gx, Request{}, nil)
	c.Subscribe(y, gy, Request{}, nil)
	route := func(grant []string, body change.Body) {
		defer func() { _ = recover() }() // as the rule's room does
		c.Route(&change.Event{Channel: "c", Resource: "r", Key: "1", Op: change.Insert, Now: grant, Body: body})
	}
	route(gx, &broken{})
	route(gy, &fields{now: "1"})
	c.Flush(0)
	if got := fmt.Sprint(x.got, y.got); got != "[] [w]" {
		t.Errorf("x and y were sent %s, want [] [w]", got)
	}

	c.Resume(x, gx, Request{Ref: "past"}, From{Cursor: at(0)}, nil)
	p := &Replayer{c: c, past: Past{Memory: &tape{}}, at: step{record: &change.Record{Xid: 1}, place: change.Place{Pos: 1}}}
	p.find()
	p.begin(c.active)
	func() {
		defer func() { _ = recover() }()
		p.Event(&change.Event{Resource: "r", Op: change.Insert, Now: gx, Body: &broken{}})
		t.Error("it was not for a subscription that resumes")
	}()
	if p.at.nth != 1 {
		t.Errorf("the next event of the past is number %d of its change, want 1", p.at.nth)
	}
}

// keeper is a sink that keeps messages.
type keeper struct{ got []*change.Message }

func (k *keeper) Queue(m *change.Message)      { k.got = append(k.got, m) }
func (k *keeper) Send(m *change.Message)       { k.got = append(k.got, m) }
func (k *keeper) Resync(change.Notice, string) {}

func (k *keeper) Offer(m *change.Message, _ *Channel) bool { k.Queue(m); return true }

func (k *keeper) Slow() {}

func FuzzScalar(f *testing.F) {
	for _, s := range []string{`5`, `"x"`, `1e9`, `-0.0`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		text, ok := Scalar(raw)
		if !ok || text == "" || text[0] == '"' {
			return
		}
		if again, ok := Scalar([]byte(text)); !ok || again != text {
			t.Errorf("%q: canonical %q becomes %q", raw, text, again)
		}
	})
}

func BenchmarkRoute(b *testing.B) {
	for _, n := range []int{50, 5000} {
		b.Run(fmt.Sprintf("one of %d", n), func(b *testing.B) {
			c := NewChannel("c", false, true, func() {})
			for i := range n {
				c.Subscribe(&counter{}, []string{change.Scope("", fmt.Sprint("user:", i))}, Request{}, nil)
			}
			f := &fields{now: "1"}
			audience := []string{change.Scope("", "user:7")}
			for b.Loop() {
				c.Route(&change.Event{Resource: "r", Key: "1", Op: change.Insert, Now: audience, Body: f})
			}
		})
	}
}

type counter struct{ n int }

func (c *counter) Send(*change.Message)         { c.n++ }
func (c *counter) Queue(*change.Message)        { c.n++ }
func (c *counter) Resync(change.Notice, string) {}

func (c *counter) Offer(m *change.Message, _ *Channel) bool { c.Queue(m); return true }

func (c *counter) Slow() {}

func (*recorder) Failed(v any) { panic(v) }

func (*keeper) Failed(v any) { panic(v) }

func (*counter) Failed(v any) { panic(v) }
