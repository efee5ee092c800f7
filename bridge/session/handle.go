package session

import (
	"encoding/json"
	"time"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/router"
)

// clientFrame is every frame that a client may send.
type clientFrame struct {
	Type         string                     `json:"type"`
	Ref          string                     `json:"ref"`
	Token        string                     `json:"token"`
	Channel      string                     `json:"channel"`
	Resource     string                     `json:"resource"`
	Key          json.RawMessage            `json:"key"`
	Where        map[string]json.RawMessage `json:"where"`
	Cursor       json.RawMessage            `json:"cursor"`
	Rewind       json.RawMessage            `json:"rewind"`
	Subscription string                     `json:"subscription"`
}

// Limits of what a frame may say.
const (
	maxRef    = 64 // bytes of a ref
	maxWhere  = 100
	maxRewind = 1000
)

// handle answers one frame of the full protocol.
func (s *Session) handle(b []byte) {
	var f clientFrame
	if err := json.Unmarshal(b, &f); err != nil {
		s.fault("", errBadFrame, "not a JSON object as the protocol has it")
		return
	}
	if len(f.Ref) > maxRef {
		s.fault("", errTooLarge, "ref is longer than 64 bytes")
		return
	}
	switch {
	case f.Type == "auth":
		s.auth(&f)
	case f.Type == "ping":
		s.Send(pongFrame)
	case s.identity() == nil:
		s.fault(f.Ref, errForbidden, "authenticate first: send an auth frame")
	case f.Type == "subscribe":
		s.subscribe(&f)
	case f.Type == "unsubscribe":
		s.unsubscribe(&f)
	case f.Type == "":
		s.fault(f.Ref, errBadFrame, "a frame needs a type")
	default:
		s.fault(f.Ref, errUnknownType, "no frame type "+quote(f.Type)+" in this version")
	}
}

// fail answers a request that can't be carried out.
func (s *Session) fail(ref, code, message string) { s.Send(errorFrame(ref, code, message)) }

// fault answers a frame that is wrong in itself; a flood of them closes the session.
func (s *Session) fault(ref, code, message string) {
	s.fail(ref, code, message)
	if !s.bad.take(time.Now().UnixMilli(), badPerSecond) {
		s.Close(closeFlood, "too many bad frames")
	}
}

func (s *Session) subscribe(f *clientFrame) {
	c, ok := s.srv.channels[f.Channel]
	if !ok {
		s.fault(f.Ref, errUnknownChannel, "no channel "+quote(f.Channel))
		return
	}
	fields, ok := c.Fields[f.Resource]
	if !ok {
		s.fault(f.Ref, errUnknownChannel, "channel "+quote(f.Channel)+" has no resource "+quote(f.Resource))
		return
	}
	req := router.Request{Ref: f.Ref, Resource: f.Resource}
	if len(f.Key) > 0 && string(f.Key) != "null" {
		key, err := change.KeyFromJSON(f.Key)
		if err != nil || f.Resource == "" {
			s.fault(f.Ref, errBadFrame, "key is a number, a string or an array of them, and needs a resource")
			return
		}
		req.Key, req.Keyed = key, true
	}
	where, code, message := conditions(f.Where, fields)
	if code != "" {
		s.fault(f.Ref, code, message)
		return
	}
	req.Where = where
	from, code, message := past(f)
	if code != "" {
		s.fault(f.Ref, code, message)
		return
	}
	if !s.mayAdd(f.Ref) {
		return
	}
	s.enroll(c, req, from, func(resumed bool) *change.Message { return subscribedFrame(f.Ref, resumed) })
}

// enroll makes a subscription; ack, where there is one, answers it.
func (s *Session) enroll(c Channel, req router.Request, from router.From, ack func(resumed bool) *change.Message) {
	s.granting.Lock() // the grants are those of the session as long as it is not known by all that it subscribes to
	defer s.granting.Unlock()
	who := s.identity()
	grants := who.Grants
	if from.Past() {
		if s.srv.changed != nil {
			from.Void = func(seen *change.Snapshot) bool { return s.srv.changed(who, seen) }
		}
		s.mu.Lock()
		s.resumes++ // before it is registered: see sendHeartbeat
		regranted := s.regranted
		s.mu.Unlock()
		s.keep(c.Router.Resume(s, grants, req, from, ack))
		if regranted && from.Cursor.Nonce != "" { // the client went by what the welcome said
			s.Resync(change.Notice{Channel: c.Router.Name(), Resource: req.Resource, Reason: "grants_changed"}, req.Ref)
		}
		return
	}
	var answer *change.Message
	if ack != nil {
		answer = ack(false)
	}
	s.keep(c.Router.Subscribe(s, grants, req, answer))
}

// past reads what a subscribe frame wants of the past.
func past(f *clientFrame) (from router.From, code, message string) {
	if len(f.Cursor) > 0 && string(f.Cursor) != "null" {
		var text string
		if json.Unmarshal(f.Cursor, &text) != nil {
			return from, errBadFrame, "cursor is a string as a frame of the channel carried it"
		}
		from.Cursor = cursorOf(text)
	}
	if len(f.Rewind) > 0 && string(f.Rewind) != "null" {
		if json.Unmarshal(f.Rewind, &from.Rewind) != nil || from.Rewind < 0 {
			return from, errBadFrame, "rewind is a number of events"
		}
		if from.Rewind > maxRewind {
			return from, errTooLarge, "rewind is at most 1000"
		}
	}
	return from, "", ""
}

// cursorOf reads a cursor; what is none names no place, and so is answered like one that has expired.
func cursorOf(text string) change.Cursor {
	c, ok := change.ParseCursor(text)
	if !ok {
		c = change.Cursor{Nonce: "?"}
	}
	return c
}

// mayAdd tells whether the session may have one more subscription of that name, and answers where not.
func (s *Session) mayAdd(ref string) bool {
	s.mu.Lock()
	n, taken := len(s.subs), false
	for _, sub := range s.subs {
		taken = taken || ref != "" && sub.Ref() == ref
	}
	s.mu.Unlock()
	switch {
	case taken:
		s.fault(ref, errBadFrame, "ref "+quote(ref)+" is in use: unsubscribe it first, or use another")
	case n >= s.srv.cfg.Server.MaxSubscriptions:
		s.fail(ref, errTooMany, "too many subscriptions: unsubscribe one first")
	default:
		return true
	}
	return false
}

// keep notes a subscription, or ends it where the session has ended meanwhile.
func (s *Session) keep(sub *router.Subscription) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.subs = append(s.subs, sub)
	}
	s.mu.Unlock()
	if closed {
		sub.Close()
	}
}

func (s *Session) unsubscribe(f *clientFrame) {
	var found *router.Subscription
	s.mu.Lock()
	for i, sub := range s.subs {
		if f.Subscription != "" && sub.Ref() == f.Subscription {
			found = sub
			last := len(s.subs) - 1
			s.subs[i], s.subs[last] = s.subs[last], nil
			s.subs = s.subs[:last]
			break
		}
	}
	s.mu.Unlock()
	if found == nil {
		s.fault(f.Ref, errBadFrame, "no subscription "+quote(f.Subscription))
		return
	}
	found.Close()
	s.Send(unsubscribedFrame(f.Ref))
}

// conditions reads a where: each field of data with a value or a list of values.
func conditions(where map[string]json.RawMessage, fields map[string]bool) (list []router.Condition, code, message string) {
	total := 0
	for field, raw := range where {
		if !fields[field] {
			return nil, errUnknownColumn, "no field " + quote(field) + " in data"
		}
		var values []json.RawMessage
		if len(raw) > 0 && raw[0] == '[' {
			if err := json.Unmarshal(raw, &values); err != nil {
				return nil, errBadFrame, "where: " + quote(field) + " is not a list"
			}
		} else {
			values = []json.RawMessage{raw}
		}
		if total += len(values); total > maxWhere {
			return nil, errTooLarge, "where has more than 100 values"
		}
		c := router.Condition{Field: field, Values: make(map[string]struct{}, len(values))}
		for _, v := range values {
			text, ok := router.Scalar(v)
			if !ok {
				return nil, errBadFrame, "where: " + quote(field) + " takes strings, numbers, true, false and null"
			}
			c.Values[text] = struct{}{}
		}
		list = append(list, c)
	}
	return list, "", ""
}
