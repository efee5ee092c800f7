package session

import (
	"encoding/json"
	"strconv"
	"time"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
)

// frame marshals a control frame of the full protocol.
func frame(v any) *change.Message {
	return change.NewMessage(128, func(dst []byte) []byte {
		b, err := json.Marshal(v)
		if err != nil { // the types below hold strings and numbers only
			panic("session: " + err.Error())
		}
		return append(dst, b...)
	})
}

func welcomeFrame(s *Session, who *audience.Identity) *change.Message {
	return frame(struct {
		Type      string `json:"type"`
		User      string `json:"user"`
		Name      string `json:"name,omitempty"`
		Session   string `json:"session"`
		Grants    string `json:"grants"`
		Expires   int64  `json:"expires_in_ms"`
		Heartbeat int64  `json:"heartbeat_ms"`
	}{"welcome", who.User, who.Name, s.name(), who.Digest(), max(0, time.Until(who.Expires).Milliseconds()), heartbeatInterval.Milliseconds()})
}

func subscribedFrame(ref string, resumed bool) *change.Message {
	return frame(struct {
		Type    string `json:"type"`
		Ref     string `json:"ref,omitempty"`
		Resumed bool   `json:"resumed"`
	}{"subscribed", ref, resumed})
}

func unsubscribedFrame(ref string) *change.Message {
	return frame(struct {
		Type string `json:"type"`
		Ref  string `json:"ref,omitempty"`
	}{"unsubscribed", ref})
}

func errorFrame(ref, code, message string) *change.Message {
	return frame(struct {
		Type    string `json:"type"`
		Ref     string `json:"ref,omitempty"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}{"error", ref, code, message})
}

func resyncFrame(n change.Notice, ref string) *change.Message {
	return frame(struct {
		Type     string `json:"type"`
		Channel  string `json:"channel"`
		Resource string `json:"resource,omitempty"`
		Ref      string `json:"ref,omitempty"`
		Reason   string `json:"reason"`
	}{"resync", n.Channel, n.Resource, ref, n.Reason})
}

func expiringFrame(in time.Duration) *change.Message {
	return frame(struct {
		Type string `json:"type"`
		In   int64  `json:"in_ms"`
	}{"auth_expiring", in.Milliseconds()})
}

var pongFrame = change.NewMessage(16, func(b []byte) []byte { return append(b, `{"type":"pong"}`...) })

// quote quotes a client's word for a message to that client, shortened.
func quote(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strconv.QuoteToASCII(s)
}
