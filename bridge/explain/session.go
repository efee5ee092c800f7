package explain

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/router"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/bridge/session"
	"nalar.internal/rowfeed/bridge/source"
)

// How many of a user's sessions a report tells of.
const (
	maxLive  = 50
	maxEnded = 10
)

// onNode is an event on one node.
type onNode struct {
	channel string
	e       *change.Event
	id      string
	xid     uint64
	at      time.Time
	pos     uint64 // in memory; 0: it is not there
	swept   bool
	latest  bool
}

// sessions explains what became of the event in each of the user's sessions.
func (s *search) sessions(r *Rule, found *source.Found, t *rule.Trace) {
	n := s.x.Node
	if n == nil {
		return
	}
	c := &found.Change
	ev := &onNode{channel: found.Channel, e: t.Routed, id: t.ID, xid: c.Xid, at: c.At, latest: t.Latest}
	ev.pos, ev.swept = n.Position(found.Channel, c.Xid, c.LSN, c.At)
	who := session.Chosen{User: s.q.User, Issuer: s.q.Issuer, Tenant: s.q.Tenant}
	open := n.Sessions.Find(who)
	for _, live := range open[:min(len(open), maxLive)] {
		r.Sessions = append(r.Sessions, ev.live(live))
	}
	past, since := n.Sessions.Past(who)
	past = slices.DeleteFunc(past, func(p session.Ended) bool { return p.Opened.After(ev.at) && len(p.Channels) == 0 })
	for _, p := range past[:min(len(past), maxEnded)] {
		r.Sessions = append(r.Sessions, ev.ended(p))
	}
	if len(r.Sessions) > 0 {
		return
	}
	r.gate(Grants, Unknown, "What the user holds by claims of a token is known only from their live sessions, "+
		"and there are none on this node.")
	remembered := "since this node began"
	if !since.IsZero() {
		remembered = "since " + clock(since)
	}
	r.gate(Subscribed, No, "User %q has no session on this node, and had none %s. If they have a page open, see whether it connects: "+
		"its token's user, issuer and tenant may be others than those asked for.", s.q.User, remembered)
}

// live explains a session that is open.
func (ev *onNode) live(s *session.Session) *Session {
	i := s.Inspect()
	out := &Session{ID: i.ID, Issuer: i.Issuer, Tenant: i.Tenant, Kind: i.Kind, Opened: i.Opened}
	if i.Code != 0 {
		out.Code, out.Reason = i.Code, i.Reason
	}
	if ev.grants(out, &i); stops(out.Gates) {
		return out
	}
	v, ok := ev.subscribed(out, &i)
	if !ok {
		return out
	}
	if ev.queued(out, &v); out.Gates[len(out.Gates)-1].Verdict == Yes {
		ev.written(out, s, &i)
	}
	return out
}

// grants explains what audience and grants have in common.
func (ev *onNode) grants(out *Session, i *session.Info) {
	old, now := common(ev.e.Was, i.Grants), common(ev.e.Now, i.Grants)
	if i.Regranted.After(ev.at) {
		out.gate(Grants, Unknown, "Its grants changed at %s, after the event; what it held before is not kept. Now it holds %s.",
			clock(i.Regranted), held(i.Grants))
		return
	}
	switch both := append(slices.Clone(old), now...); {
	case len(both) > 0 && ev.e.Op == change.Update && len(now) == 0:
		out.gate(Grants, Yes, "It holds %s, which lets it see the old row only: it is sent leave.", listed(old))
	case len(both) > 0 && ev.e.Op == change.Update && len(old) == 0:
		out.gate(Grants, Yes, "It holds %s, which lets it see the new row only: it is sent enter.", listed(now))
	case len(both) > 0:
		slices.Sort(both)
		out.gate(Grants, Yes, "It holds %s.", listed(slices.Compact(both)))
	case len(common(bare(ev.e.Was), bare(i.Grants)))+len(common(bare(ev.e.Now), bare(i.Grants))) > 0:
		out.gate(Grants, No, "It holds such a grant, but for its own tenant %q: the row is another tenant's.", i.Tenant)
	default:
		out.gate(Grants, No, "None of what it holds (%s) is in the audience. See auth.grants and auth.grants_query, or the rule's audience.",
			held(i.Grants))
	}
}

// subscribed explains whether one of the session's subscriptions is for the event, and returns that one's view.
func (ev *onNode) subscribed(out *Session, i *session.Info) (view router.View, ok bool) {
	var why, others []string
	for _, sub := range i.Subscriptions {
		if name := sub.Channel().Name(); name != ev.channel {
			if !slices.Contains(others, name) {
				others = append(others, name)
			}
			continue
		}
		v := sub.Judge(ev.e, ev.xid, ev.pos)
		text, verdict := ev.judge(&v)
		if verdict == Yes {
			out.gate(Subscribed, Yes, "%s is for it.", viewWord(&v))
			return v, true
		}
		if verdict == Unknown {
			out.gate(Subscribed, Unknown, "%s", text)
			return v, false
		}
		why = append(why, text)
	}
	switch {
	case len(why) > 0:
		out.gate(Subscribed, No, "%s", strings.Join(why, " "))
	case len(others) > 0:
		out.gate(Subscribed, No, "It has no subscription to channel %s; it has to %s.", ev.channel, strings.Join(others, ", "))
	default:
		out.gate(Subscribed, No, "It has no subscription: the page has to subscribe to channel %s.", ev.channel)
	}
	return view, false
}

// judge says whether a subscription is for the event, and if not why.
func (ev *onNode) judge(v *router.View) (string, Verdict) {
	sees := ev.e.Was != nil && v.WhereOld && v.Old || ev.e.Now != nil && v.WhereNew && v.New
	young := v.Began.After(ev.at)
	switch {
	case !v.Topic:
		return viewWord(v) + " is for other rows.", No
	case !sees && (v.Old || v.New):
		return viewWord(v) + " has a where (" + strings.Join(v.Where, ", ") + ") that this row does not meet.", No
	case !sees:
		return viewWord(v) + " is judged by other grants just now: ask again.", Unknown
	case v.Brought:
		return "", Yes
	case v.Late && v.Resumed:
		return viewWord(v) + " came after the event, with a cursor that says that it was received before.", No
	case v.Late && v.Replaying:
		return viewWord(v) + " came after the event, and is still being sent the past.", Unknown
	case v.Late:
		return viewWord(v) + " was made at " + clock(v.Began) + ", after the event, without a cursor: the page has to fetch what is there.", No
	case ev.pos == 0 && young && ev.swept:
		return viewWord(v) + " was made at " + clock(v.Began) + ", after the row was written; whether its transaction had ended by " +
			"then is not known, since the event is no longer in this node's memory.", Unknown
	}
	return "", Yes
}

// queued explains whether the event has come to the session's queue.
func (ev *onNode) queued(out *Session, v *router.View) {
	switch {
	case !ev.swept:
		out.gate(Queued, No, "This node has not read the change yet: see readyz, and ask again.")
	case v.Replaying:
		out.gate(Queued, Unknown, "%s is still being sent the past, in order: ask again.", viewWord(v))
	case ev.pos > 0 && !v.Routed:
		out.gate(Queued, No, "It is being handed out just now: ask again.")
	default:
		out.gate(Queued, Yes, "It was handed to the session.")
	}
}

// written explains whether it has left for the socket.
func (ev *onNode) written(out *Session, s *session.Session, i *session.Info) {
	before, waits := s.Waits(ev.id)
	switch {
	case waits && i.Held:
		out.gate(Written, No, "It waits in the session's queue until it is known what the user may see now: their grants are being "+
			"looked up. If that lasts, see the log.")
	case waits:
		out.gate(Written, No, "It waits in the session's queue behind %d messages: the client or the network takes them too slowly.", before)
	case ev.latest && i.Merged.After(ev.at):
		out.gate(Written, Unknown, "The session fell behind at %s, and of a latest channel only the newest event of a row was kept: "+
			"this one was written or replaced by a newer one.", clock(i.Merged))
	case i.Code != 0:
		out.gate(Written, Unknown, "The session is being closed (%d %s): whether it was written before is not kept.", i.Code, i.Reason)
	default:
		out.gate(Written, Yes, "It was written to the session's socket. If the page does not show it, look at the page: a client drops "+
			"an event whose id it has.")
	}
}

// ended explains a session that is over.
func (ev *onNode) ended(p session.Ended) *Session {
	out := &Session{ID: p.ID, Issuer: p.Issuer, Tenant: p.Tenant, Opened: p.Opened, Ended: &p.At, Code: p.Code, Reason: p.Reason}
	how := "ended at " + clock(p.At) + " (" + strconv.Itoa(p.Code) + strings.TrimRight(" "+p.Reason, " ") + ")"
	switch {
	case p.At.Before(ev.at):
		out.gate(Subscribed, No, "The session %s, before the event.", how)
	case p.Opened.After(ev.at):
		out.gate(Subscribed, Unknown, "The session was opened after the row was written, and %s; what it was sent is not kept.", how)
	case !slices.Contains(p.Channels, ev.channel):
		out.gate(Subscribed, No, "The session %s, and was not subscribed to channel %s.", how, ev.channel)
	default:
		out.gate(Written, Unknown, "The session was subscribed to channel %s and %s; what was written before is not kept. A client that "+
			"comes back with its cursor is sent what it missed.", ev.channel, how)
	}
	return out
}

// viewWord names a subscription.
func viewWord(v *router.View) string {
	text := "The subscription"
	if v.Ref != "" {
		text += " " + strconv.Quote(v.Ref)
	}
	switch {
	case v.Keyed:
		return text + " to " + v.Resource + ", row " + strconv.Quote(v.Key)
	case v.Resource != "":
		return text + " to " + v.Resource
	}
	return text + " to the whole channel"
}
