package change

// Variant is the form in which a subscriber hears of an event: who could see the row before and who can see it now
// differ.
type Variant uint8

// The variants. Whole is the event as it happened (insert, update or delete).
const (
	Whole Variant = iota
	Enter         // the row has become theirs: the row, no old
	Leave         // the row is no longer theirs: the key only
	variants
)

// Body renders an event, and answers a subscription's where. Rules implement it; it is called by one goroutine at a
// time, and only while the change that it was made of is being routed.
type Body interface {
	// Field returns the JSON scalar of a field of data in the old row (was) or the new one; false where that row or
	// field is not there.
	Field(name string, was bool) ([]byte, bool)
	// Append appends the event frame's JSON text to dst, with the cursor where it is not empty.
	Append(dst []byte, v Variant, cursor string) []byte
}

// Event is what a rule made of a change, before it is known who receives it.
type Event struct {
	Channel  string
	Resource string
	Rule     int32  // number of the rule in its channel: part of what a newer event may replace
	Key      string // the row's key in canonical text, see KeyText
	Op       Op
	Latest   bool     // the channel's class is latest
	Was, Now []string // scoped audience of the old and of the new row; nil where the operation has no such row
	Body     Body
	Place    Place

	rendered [variants][2]*Message
}

// Message renders the event in variant v, once however often it is called. It carries its cursor only for those for
// whom that is safe.
func (e *Event) Message(v Variant, safe bool) *Message {
	cursor, i := "", 0
	if safe && e.Place.Cursor != "" {
		cursor, i = e.Place.Cursor, 1
	}
	if m := e.rendered[v][i]; m != nil {
		return m
	}
	m := NewMessage(512, func(dst []byte) []byte { return e.Body.Append(dst, v, cursor) })
	m.Rule, m.Key, m.Variant, m.Op, m.Latest, m.Cursor = e.Rule, e.Key, v, e.Op, e.Latest, cursor
	e.rendered[v][i] = m
	return m
}

// Notice says that what subscribers hold of a resource (or, where Resource is empty, of the whole channel) is void.
type Notice struct {
	Channel  string
	Resource string
	Reason   string // cursor_expired, other_epoch, truncated, drift, rule_error, grants_changed

	// Audience limits the notice to those who hold one of these scoped grants, and Prefixes to those who hold one that
	// begins so, where an audience could not be computed; both nil is every subscriber.
	Audience, Prefixes []string
}

// Scope joins a tenant and a grant into the string that audiences and grants are compared by. The empty tenant is that
// of installations without tenants; AnyTenant that of rules that say tenant: any.
func Scope(tenant, grant string) string { return tenant + "\x00" + grant }

// AnyTenant is the scope of rules that say `tenant: any`. No token can carry it: tenants with a control character are
// refused.
const AnyTenant = "\x01"
