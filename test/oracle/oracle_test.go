package oracle_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/router"
	"nalar.internal/rowfeed/test/oracle"
	"nalar.internal/rowfeed/test/pgtest"
)

var (
	seedFlag  = flag.Uint64("seed", 1, "of the first set of rules; each has the next one")
	casesFlag = flag.Int("cases", cases, "histories in all")
)

// perRules is how many histories each set of rules goes through: compiling them takes longer.
const perRules = 100

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // much is made and thrown away
	pgtest.Main(m)
}

// What each session is delivered is exactly what it may see: no less, no more, in its form, in the order of the changes,
// once; through inserts, updates, moves, deletes, changed keys and truncates, while sessions come, go, get other grants
// and resume, look back or stall on the way.
func TestDelivery(t *testing.T) {
	t.Parallel()
	var next, lines atomic.Int64
	sets := int64(max(1, *casesFlag/perRules))
	for worker := range 2 {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			for i := next.Add(1); i <= sets && !t.Failed(); i = next.Add(1) {
				synctest.Test(t, func(t *testing.T) { lines.Add(int64(examine(t, *seedFlag+uint64(i)-1))) })
			}
		})
	}
	t.Cleanup(func() { t.Logf("%d cases, %d frames and notices delivered", sets*perRules, lines.Load()) })
}

// examine runs the histories of one set of rules and returns how much was delivered.
func examine(t *testing.T, seed uint64) (lines int) {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 5)), tenants: seed%4 != 0}
	rules := g.rules()
	o, err := newOffice(rules)
	if err != nil {
		t.Fatalf("seed %d: compile rules: %v", seed, err)
	}
	for range perRules {
		steps := g.history(rules)
		horizon := g.chance(2)
		run := func(steps []step) error {
			n, err := o.run(rules, steps, horizon)
			lines += n
			return err
		}
		if err := run(steps); err != nil {
			steps, err := shrink(steps, err, run)
			t.Fatalf("-seed %d: %v\n%s", seed, err, describe(rules, steps))
		}
	}
	return lines
}

// stage is a case on its way: the oracle's world and the bridge's.
type stage struct {
	w      *oracle.World
	d      *desk
	seats  [seats]*pair
	all    []*pair
	ctx    context.Context
	end    func()
	hasty  bool          // something is on its way
	ending chan struct{} // nil: nothing of the past was asked for yet
}

type pair struct {
	seat *oracle.Seat
	sink *sink
	past bool // it was sent something of the past
}

// run goes through a history and compares what was delivered; it returns how much that was.
func (o *office) run(rules []*oracle.Rule, steps []step, horizon bool) (int, error) {
	s := &stage{w: &oracle.World{Channel: "c", Rules: rules}, d: o.open(horizon)}
	s.ctx, s.end = context.WithCancel(context.Background())
	defer func() {
		if s.end(); s.ending != nil {
			<-s.ending
		}
	}()
	for _, st := range steps {
		if err := s.do(st); err != nil {
			return 0, err
		}
	}
	for i := range s.seats {
		if err := s.do(step{what: "room", seat: i, n: -1}); err != nil {
			return 0, err
		}
	}
	s.flush()
	s.settle()
	lines := 0
	ids := newNumbers()
	for i, p := range s.all {
		if err := p.compare(ids); err != nil {
			return 0, fmt.Errorf("session %d (tenant %q, grants %q): %w", i, p.seat.User.Tenant, p.seat.User.Grants, err)
		}
		lines += len(p.sink.got)
	}
	return lines, nil
}

// settle waits until all that is of the past is where it can get to.
func (s *stage) settle() {
	if s.ending != nil {
		time.Sleep(5 * time.Second) // of the bubble's clock
		synctest.Wait()
	}
}

func (s *stage) flush() {
	s.d.pinned = s.hasty
	s.d.flush()
	s.w.Swept()
}

func (s *stage) do(st step) error {
	p := s.seats[st.seat]
	if s.hasty && st.what != "change" && st.what != "flush" {
		s.hasty = false
		s.settle()
	}
	switch st.what {
	case "change":
		s.w.Happen(st.change)
		s.d.happen(st.change)
	case "flush":
		s.flush()
	case "open":
		s.leave(st.seat)
		p = &pair{seat: &oracle.Seat{User: st.user, Room: -1}, sink: &sink{room: -1, frames: s.d.frames, subs: map[string]*router.Subscription{}}}
		s.seats[st.seat], s.all = p, append(s.all, p)
		s.w.Seats, s.d.sinks = append(s.w.Seats, p.seat), append(s.d.sinks, p.sink)
	case "close":
		s.leave(st.seat)
	}
	if p == nil || st.what == "open" {
		return nil
	}
	grants, err := scoped(p.seat.User)
	if err != nil {
		return err
	}
	switch st.what {
	case "subscribe":
		if !p.seat.Subscribed(st.q.Ref) {
			if p.seat.Waits() {
				s.flush() // else a notice of the sweep at hand is told again: the router knows the places of events only
			}
			p.sink.subs[st.q.Ref] = s.d.router.Subscribe(p.sink, grants, request(st.q), answer(st.q.Ref)(false))
			s.w.Subscribe(p.seat, st.q)
		}
	case "resume", "rewind", "refused":
		if p.seat.Subscriptions() == 0 {
			roomy := p.sink.room < 0
			s.resume(p, st, grants)
			if s.hasty = roomy && st.what != "refused" && st.n%3 > 0; s.hasty {
				return nil // what changes now comes while it is on its way
			}
		}
	case "unsubscribe":
		if p.seat.Subscribed(st.q.Ref) {
			p.sink.subs[st.q.Ref].Close()
			delete(p.sink.subs, st.q.Ref)
			s.w.Unsubscribe(p.seat, st.q.Ref)
		}
	case "regrant":
		return s.regrant(p, st.user.Grants)
	case "room":
		p.sink.room = st.n
		s.d.router.Room(p.sink)
		s.w.Give(p.seat, st.n)
	}
	s.settle()
	return nil
}

func (s *stage) regrant(p *pair, list []string) error {
	s.w.Regrant(p.seat, list)
	grants, err := scoped(p.seat.User)
	if err == nil {
		s.d.router.Regrant(p.sink, grants)
		p.sink.got = append(p.sink.got, line{text: "grants replaced"})
		s.settle()
	}
	return err
}

// resume begins a session's first subscription with something of the past.
func (s *stage) resume(p *pair, st step, grants []string) {
	if s.ending == nil {
		s.ending = make(chan struct{})
		go func() { defer close(s.ending); s.d.replay(s.ctx) }()
	}
	if s.d.forgetful || st.what != "resume" {
		s.flush() // as before a subscription of a session that waits
	}
	p.past = true
	after := s.d.ticks[st.n%len(s.d.ticks)]
	from := router.From{Cursor: cursorAt(after)}
	switch st.what {
	case "resume":
		s.w.Resume(p.seat, st.q, after)
	case "rewind":
		from = router.From{Rewind: 1 + st.n%8}
		s.w.Rewind(p.seat, st.q, from.Rewind)
	default:
		reason := "cursor_expired"
		from.Cursor.Nonce = "y"
		if st.n%2 == 0 {
			reason, from.Cursor.Epoch = "other_epoch", "e0"
		}
		from.Rewind = st.n % 3
		s.w.Refuse(p.seat, st.q, reason, from.Rewind)
	}
	p.sink.subs[st.q.Ref] = s.d.router.Resume(p.sink, grants, request(st.q), from, answer(st.q.Ref))
}

// leave ends a session.
func (s *stage) leave(i int) {
	p := s.seats[i]
	if p == nil {
		return
	}
	for _, sub := range p.sink.subs {
		sub.Close()
	}
	p.seat.Leave()
	s.settle()
	s.seats[i] = nil
}

// numbers holds each event to one id, and each id to one event.
type numbers struct{ byID, byPlace map[string]string }

func newNumbers() *numbers { return &numbers{byID: map[string]string{}, byPlace: map[string]string{}} }

func (n *numbers) match(id, place string) error {
	if known, ok := n.byID[id]; ok && known != place {
		return fmt.Errorf("events %s and %s have the same id %q", known, place, id)
	}
	if known, ok := n.byPlace[place]; ok && known != id {
		return fmt.Errorf("event %s has the ids %q and %q", place, known, id)
	}
	n.byID[id], n.byPlace[place] = place, id
	return nil
}

// compare holds what the sink got to what the seat was due.
func (p *pair) compare(ids *numbers) error {
	due := notices(p.seat.Due, func(s string) string { return s }, p.past)
	got := notices(p.sink.got, func(l line) string { return l.text }, p.past)
	for i := range max(len(due), len(got)) {
		want, have := "nothing", line{text: "nothing"}
		if i < len(due) {
			want = due[i]
		}
		if i < len(got) {
			have = got[i]
		}
		place := ""
		if want[0] >= '0' && want[0] <= '9' {
			place, want, _ = strings.Cut(want, " ")
		}
		if want != have.text {
			return fmt.Errorf("delivery %d\n got %s\nwant %s", i, have.text, want)
		}
		if place == "" {
			continue
		}
		if err := ids.match(have.id, place); err != nil {
			return err
		}
		var n uint64
		if fmt.Sscan(place, &n); have.cursor != "" {
			if c, ok := change.ParseCursor(have.cursor); !ok || c.Xid > n {
				return fmt.Errorf("event %s carries cursor %s: it vouches for what has not been sent", place, have.cursor)
			}
		}
	}
	return nil
}

// notices puts those that follow each other into an order of their own: that of a session's subscriptions means nothing.
// In the past one stands for those of many changes, and is told again where a replay had stalled beside it.
func notices[T any](list []T, text func(T) string, again bool) []T {
	list = slices.Clone(list)
	for i := range list {
		j := i
		for j < len(list) && strings.HasPrefix(text(list[j]), "resync ") {
			j++
		}
		slices.SortFunc(list[i:j], func(a, b T) int { return strings.Compare(text(a), text(b)) })
	}
	if !again {
		return list
	}
	told := map[string]bool{}
	return slices.DeleteFunc(list, func(l T) bool {
		line := text(l)
		again := told[line]
		told[line] = strings.HasPrefix(line, "resync ")
		return again
	})
}
