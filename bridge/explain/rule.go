package explain

import (
	"fmt"
	"strings"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/config"
)

// rule explains what one rule made of a change.
func (s *search) rule(found *source.Found, t *rule.Trace) *Rule {
	cfg := s.x.Config.Channels[found.Channel].Rules[t.Rule]
	r := &Rule{
		Rule:  fmt.Sprintf("channels.%s.rules[%d]", found.Channel, t.Rule),
		Event: t.Event, Resource: t.Resource, ID: t.ID, Key: t.Key, Op: opWord(t.Op),
	}
	r.match(t)
	if !stops(r.Gates) {
		r.condition(t)
	}
	if !stops(r.Gates) {
		r.audience(&cfg, t)
	}
	if !stops(r.Gates) && t.Routed != nil {
		r.move(t)
		s.sessions(r, found, t)
	}
	r.conclude()
	return r
}

// match explains whether the rule chooses the change.
func (r *Rule) match(t *rule.Trace) {
	switch {
	case t.Err != nil:
		r.gate(Matched, No, "What was captured lacks what the rule needs (%v): run `rowfeed migrate up`. Subscribers were told "+
			"to fetch afresh (resync).", t.Err)
	case !t.Operation:
		r.gate(Matched, No, "The rule's operations do not have %s: add it there if it should be an event.", r.Op)
	case !t.Changed:
		r.gate(Matched, No, "None of the columns changed that the rule watches (%s): add others under watch if they should count.",
			strings.Join(t.Watches, ", "))
	case t.Op == change.Update:
		r.gate(Matched, Yes, "An update that changed a column that the rule watches.")
	default:
		r.gate(Matched, Yes, "The rule's operations have %s.", r.Op)
	}
}

// condition explains the rule's `if`.
func (r *Rule) condition(t *rule.Trace) {
	switch {
	case !t.HasIf:
		r.gate(Condition, Yes, "The rule has no condition.")
	case t.Failed != nil:
		r.gate(Condition, No, "The rule's condition failed on this row (%v): make it hold for such rows. Those whom it might have "+
			"concerned were told to fetch afresh (resync).", t.Failed)
	case !t.Holds:
		r.gate(Condition, No, "The rule's condition (if) is false for this row.")
	default:
		r.gate(Condition, Yes, "The rule's condition (if) is true for this row.")
	}
}

// audience explains who may see the event.
func (r *Rule) audience(cfg *config.Rule, t *rule.Trace) {
	var texts []string
	say := func(which string, sc *rule.Scope) {
		if sc == nil {
			return
		}
		text := which + ": " + listed(sc.Audience)
		if why := emptiness(cfg, sc); why != "" {
			text += " (" + why + ")"
		}
		texts = append(texts, text)
	}
	say("the old row", t.Was)
	say("the new row", t.Now)
	all := strings.Join(texts, "; ")
	if t.Routed == nil {
		r.gate(Audience, No, "Nobody may see it. %s. See the rule's audience and tenant.", all)
		return
	}
	r.gate(Audience, Yes, "Those may see it who hold, for %s.", all)
}

// emptiness says which templates gave nothing, and why.
func emptiness(cfg *config.Rule, sc *rule.Scope) string {
	switch {
	case sc.Err != nil:
		return fmt.Sprintf("the tenant %q failed: %v", cfg.Tenant, sc.Err)
	case sc.Nowhere:
		return fmt.Sprintf("the row has no tenant: %q is empty", cfg.Tenant)
	}
	var why []string
	for i, p := range sc.Parts {
		switch {
		case p.Err != nil:
			why = append(why, fmt.Sprintf("template %q failed: %v", cfg.Audience[i], p.Err))
		case len(p.Empty) > 0:
			why = append(why, fmt.Sprintf("template %q gives nothing: %s is empty", cfg.Audience[i], strings.Join(p.Empty, ", ")))
		}
	}
	return strings.Join(why, "; ")
}

// move explains what of enter and leave the rows decide.
func (r *Rule) move(t *rule.Trace) {
	e := t.Routed
	switch {
	case t.Op == change.Insert:
		r.gate(Move, Yes, "An insert: it is for those who may see the new row.")
	case t.Op == change.Delete:
		r.gate(Move, Yes, "A delete: it is for those who could see the old row.")
	case len(common(e.Was, e.Now)) == len(e.Was) && len(e.Was) == len(e.Now):
		r.gate(Move, Yes, "An update that leaves the audience as it was.")
	default:
		r.gate(Move, Yes, "An update that changes the audience: who could see the old row only is sent leave, who can see the new "+
			"one only enter.")
	}
}
