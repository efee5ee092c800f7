package oracle_test

import (
	"fmt"
	"slices"
	"strings"

	"nalar.internal/rowfeed/test/oracle"
)

// step is one thing that happens. A step that has no sense where it stands, as one of a subscription that is not there,
// does nothing: so a history stays one when some of its steps are left out.
type step struct {
	what   string // change, flush, open, close, subscribe, resume, rewind, refused, unsubscribe, regrant, room
	seat   int
	user   oracle.User
	change *oracle.Change
	q      oracle.Subscription
	n      int // resume: after which tick; rewind: how many events; room: for how many
}

const seats = 4

// history makes the steps of a case.
func (g *generator) history(rules []*oracle.Rule) (steps []step) {
	rows := stock{}
	for i := range 2 + g.IntN(seats-1) {
		steps = append(steps, step{what: "open", seat: i, user: g.user()})
		for ref := range 1 + g.IntN(2) {
			steps = append(steps, step{what: "subscribe", seat: i, q: g.subscription(rules, fmt.Sprint("s", ref))})
		}
	}
	for range 6 + g.IntN(16) {
		s := step{seat: g.IntN(seats), user: g.user(), n: g.IntN(100)}
		s.q = g.subscription(rules, fmt.Sprint("s", g.IntN(3)))
		switch g.IntN(32) {
		case 0:
			s.what = "open"
		case 1:
			s.what = "close"
		case 2:
			s.what = "unsubscribe"
		case 3:
			s.what = "regrant"
		case 4, 5:
			s.what = "subscribe"
		case 6, 7:
			steps = append(steps, g.comeBack(rules, s)...)
			continue
		case 8:
			s.what, s.n = "room", g.IntN(4)-1
		case 9, 10, 11:
			s.what = "flush"
		default:
			if s.what, s.change = "change", g.change(rules, rows); s.change == nil {
				continue
			}
		}
		steps = append(steps, s)
	}
	return steps
}

// comeBack closes a session and has it begin anew with something of the past.
func (g *generator) comeBack(rules []*oracle.Rule, s step) []step {
	open, again := step{what: "open", seat: s.seat, user: s.user}, s
	again.what = pick(g, []string{"resume", "resume", "resume", "rewind", "refused"})
	list := []step{open}
	if g.chance(3) {
		list = append(list, step{what: "room", seat: s.seat, n: g.IntN(3)})
	}
	if list = append(list, again); g.chance(3) {
		list = append(list, step{what: "subscribe", seat: s.seat, q: g.subscription(rules, "later")})
	}
	if g.chance(3) {
		list = append(list, step{what: "regrant", seat: s.seat, user: g.user()})
	}
	return list
}

func (s step) String() string {
	text := fmt.Sprintf("%s seat %d", s.what, s.seat)
	switch s.what {
	case "change":
		return fmt.Sprintf("change %s %s%s\n      old %s\n      new %s", s.change.Table.Name, s.change.Reason, lacking(s.change), show(s.change.Old), show(s.change.New))
	case "flush":
		return s.what
	case "open":
		return fmt.Sprintf("%s tenant %q grants %q", text, s.user.Tenant, s.user.Grants)
	case "regrant":
		return fmt.Sprintf("%s grants %q", text, s.user.Grants)
	case "close":
		return text
	case "unsubscribe":
		return text + " " + s.q.Ref
	case "room":
		return fmt.Sprint(text, " for ", s.n)
	}
	return fmt.Sprintf("%s %+v n %d", text, s.q, s.n)
}

func lacking(c *oracle.Change) string {
	if c.Lacks == "" {
		return ""
	}
	return "captured without " + c.Lacks
}

// describe prints a case.
func describe(rules []*oracle.Rule, steps []step) string {
	var b strings.Builder
	for i, r := range rules {
		condition := ""
		if r.If != nil {
			condition = r.If.Text
		}
		fmt.Fprintf(&b, "rule %d: table %s event %s resource %s columns %q data %v watch %q operations %q strings %q if %q tenant %q audience %q message %q link %q\n",
			i, r.Table.Name, r.Event, r.Resource, r.Columns, r.Data, r.Watch, r.Operations, r.Strings, condition, r.Tenant, r.Audience, r.Message, r.Link)
	}
	for i, s := range steps {
		fmt.Fprintf(&b, "  %2d %s\n", i, s)
	}
	return b.String()
}

// shrink leaves out steps for as long as the case still fails.
func shrink(steps []step, err error, fails func([]step) error) ([]step, error) {
	for again := true; again; {
		again = false
		for i := len(steps) - 1; i >= 0; i-- {
			fewer := slices.Delete(slices.Clone(steps), i, i+1)
			if e := fails(fewer); e != nil {
				steps, err, again = fewer, e, true
			}
		}
	}
	return steps, err
}
