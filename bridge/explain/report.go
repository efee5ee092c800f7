// Package explain tells why a user did or did not get an event, gate by gate: captured, rule, condition, audience, move,
// grants, subscribed, queued, written. The first five are read from the outbox and the configuration; the others from
// what a node has in memory. Nothing is kept per event for it: what became of one is inferred from where subscriptions
// and queues stand.
//
// A report holds no values of a row but its key and what its audience is made of.
package explain

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Question is what an operator asks.
type Question struct {
	User    string  `json:"user"`
	Issuer  *string `json:"issuer,omitempty"` // nil: any
	Tenant  *string `json:"tenant,omitempty"` // nil: any
	Event   string  `json:"event,omitempty"`  // an event's id; else the newest changes of a row:
	Table   string  `json:"table,omitempty"`
	Key     string  `json:"key,omitempty"`     // canonical: 17, or 3,A1 for a composite key
	Channel string  `json:"channel,omitempty"` // empty: all
	Newest  int     `json:"newest,omitempty"`  // how many changes for each channel; 0 is 1
}

// Bounds of a question.
const (
	maxNewest = 20
	maxText   = 1024 // bytes of each field
)

// Check says what is wrong with a question.
func (q *Question) Check() error {
	for _, text := range []string{q.User, q.Event, q.Table, q.Key, q.Channel, deref(q.Issuer), deref(q.Tenant)} {
		if len(text) > maxText {
			return fmt.Errorf("explain: a value is longer than %d bytes", maxText)
		}
	}
	switch {
	case q.User == "":
		return errors.New("explain: name the user")
	case q.Event == "" && (q.Table == "" || q.Key == ""):
		return errors.New("explain: name the event by its id, or a table and the key of a row")
	case q.Event != "" && q.Table+q.Key != "":
		return errors.New("explain: an event's id says which row it is about: leave table and key out")
	case q.Newest < 0 || q.Newest > maxNewest:
		return fmt.Errorf("explain: up to %d changes are explained at a time", maxNewest)
	}
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Verdict is what a gate says.
type Verdict string

// The verdicts.
const (
	Yes     Verdict = "yes"
	No      Verdict = "no"
	Unknown Verdict = "not known"
)

// The gates, in their order.
const (
	Captured   = "captured"
	Matched    = "rule"
	Condition  = "condition"
	Audience   = "audience"
	Move       = "move"
	Grants     = "grants"
	Subscribed = "subscribed"
	Queued     = "queued"
	Written    = "written"
)

// Gate is one step of an event on its way to a user, and what it said.
type Gate struct {
	Name    string  `json:"gate"`
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`
}

// Report is what a node answers, or what can be told without one.
type Report struct {
	Node    string    `json:"node,omitempty"`  // empty: no bridge was asked
	Gates   []Gate    `json:"gates,omitempty"` // where no change was found: why
	Changes []*Change `json:"changes,omitempty"`
}

// Change is one captured change.
type Change struct {
	Channel string    `json:"channel"`
	Table   string    `json:"table"`
	Op      string    `json:"op"`
	At      time.Time `json:"at"`
	Txid    string    `json:"txid"`
	Gates   []Gate    `json:"gates"`
	Rules   []*Rule   `json:"rules"`
}

// Rule is what one rule made of a change, and what became of the event.
type Rule struct {
	Rule     string     `json:"rule"` // channels.stock.rules[1]
	Event    string     `json:"event"`
	Resource string     `json:"resource"`
	ID       string     `json:"id"`
	Key      string     `json:"key"`
	Op       string     `json:"op"`
	Gates    []Gate     `json:"gates"`
	Sessions []*Session `json:"sessions,omitempty"`
	Outcome  Gate       `json:"outcome"` // the gate that decided: the first that did not say yes, else the last
}

// Session is how one session of the user stood to the event.
type Session struct {
	ID     string     `json:"session"`
	Issuer string     `json:"issuer,omitempty"`
	Tenant string     `json:"tenant,omitempty"`
	Kind   string     `json:"kind,omitempty"`
	Opened time.Time  `json:"opened"`
	Ended  *time.Time `json:"ended,omitempty"`
	Code   int        `json:"code,omitempty"`
	Reason string     `json:"reason,omitempty"`
	Gates  []Gate     `json:"gates"`
}

func (r *Rule) gate(name string, v Verdict, format string, args ...any) {
	r.Gates = append(r.Gates, Gate{name, v, fmt.Sprintf(format, args...)})
}

func (s *Session) gate(name string, v Verdict, format string, args ...any) {
	s.Gates = append(s.Gates, Gate{name, v, fmt.Sprintf(format, args...)})
}

// stops tells whether a gate has said no.
func stops(gates []Gate) bool {
	for _, g := range gates {
		if g.Verdict == No {
			return true
		}
	}
	return false
}

// order is that of the gates.
var order = []string{Captured, Matched, Condition, Audience, Move, Grants, Subscribed, Queued, Written}

// decides returns the gate that decides: the first that said no, else the first that is not known, else the last.
func decides(gates []Gate) Gate {
	for _, v := range []Verdict{No, Unknown} {
		if i := slices.IndexFunc(gates, func(g Gate) bool { return g.Verdict == v }); i >= 0 {
			return gates[i]
		}
	}
	return gates[len(gates)-1]
}

// conclude finds the gate that decided: of several sessions that of the one with which the event came farthest.
func (r *Rule) conclude() {
	r.Outcome = decides(r.Gates)
	far := -1
	for _, s := range r.Sessions {
		g := decides(s.Gates)
		n := slices.Index(order, g.Name)
		if g.Verdict == Yes {
			n++
		}
		if n > far {
			r.Outcome, far = g, n
		}
	}
}
