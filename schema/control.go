package schema

// controlFrame is a frame of rowfeed.v1 that is no event.
type controlFrame struct {
	name, summary string
	fromClient    bool
	required      object // beside type
	optional      object
}

var (
	text    = object{{"type", "string"}}
	number  = object{{"type", "integer"}, {"minimum", 0}}
	boolean = object{{"type", "boolean"}}
	ref     = object{{"type", "string"}, {"maxLength", 64}}
	cursor  = object{{"type", "string"}, {"maxLength", 64}}
	anyKey  = object{{"type", []string{"string", "number", "boolean", "array"}}}
	where   = object{
		{"type", "object"},
		{"additionalProperties", object{{"type", []string{"string", "number", "boolean", "null", "array"}}}},
	}
	errorCodes = []string{"bad_frame", "unknown_type", "unknown_channel", "unknown_column", "forbidden",
		"too_many_subscriptions", "rate_limited", "too_large", "internal"}
	reasons = []string{"cursor_expired", "other_epoch", "truncated", "drift", "rule_error", "grants_changed"}
)

// controlFrames are those of docs/PROTOCOL.md, in its order.
var controlFrames = []controlFrame{
	{name: "auth", summary: "Who is asking: first, and again any time before the token expires.", fromClient: true,
		required: object{{"token", text}}, optional: object{{"ref", ref}}},
	{name: "subscribe", summary: "Hear of a channel, or of less of it.", fromClient: true, required: object{{"channel", text}},
		optional: object{{"ref", ref}, {"resource", text}, {"key", anyKey}, {"where", where}, {"cursor", text},
			{"rewind", object{{"type", "integer"}, {"minimum", 0}, {"maximum", 1000}}}}},
	{name: "unsubscribe", summary: "No longer hear of what a subscribe frame asked for.", fromClient: true,
		required: object{{"subscription", ref}}, optional: object{{"ref", ref}}},
	{name: "ping", summary: "Answered by pong.", fromClient: true},
	{name: "welcome", summary: "The answer to auth, or to a good token in the handshake.",
		required: object{{"user", text}, {"session", text}, {"grants", text}, {"expires_in_ms", number}, {"heartbeat_ms", number}},
		optional: object{{"name", text}}},
	{name: "subscribed", summary: "The answer to subscribe; where resumed, what was missed follows.",
		required: object{{"resumed", boolean}}, optional: object{{"ref", ref}}},
	{name: "unsubscribed", summary: "The answer to unsubscribe.", optional: object{{"ref", ref}}},
	{name: "pong", summary: "The answer to ping."},
	{name: "error", summary: "A request was not carried out; the connection lives on.",
		required: object{{"code", object{{"type", "string"}, {"enum", errorCodes}}}, {"message", text}}, optional: object{{"ref", ref}}},
	{name: "resync", summary: "What you hold may be out of date: fetch afresh.",
		required: object{{"channel", text}, {"reason", object{{"type", "string"}, {"enum", reasons}}}},
		optional: object{{"resource", text}, {"ref", ref}}},
	{name: "auth_expiring", summary: "Send auth with a fresh token.", required: object{{"in_ms", number}}},
	{name: "heartbeat", summary: "Every 25 s, with the newest cursor of each channel.",
		required: object{{"cursors", object{{"type", "object"}, {"additionalProperties", cursor}}}}},
}

func (f *controlFrame) message() object {
	required := []string{"type"}
	for _, m := range f.required {
		required = append(required, m.name)
	}
	properties := append(object{{"type", object{{"const", f.name}}}}, f.required...)
	return object{
		{"name", f.name},
		{"summary", f.summary},
		{"payload", object{
			{"type", "object"},
			{"properties", append(properties, f.optional...)},
			{"required", required},
		}},
	}
}
