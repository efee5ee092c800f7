package oracle_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/oracle"
	"nalar.internal/rowfeed/test/rig"
)

var socketsFlag = flag.Int("socket-cases", socketCases, "histories through PostgreSQL and sockets in all")

// perBridge is how many histories a database and a bridge go through.
const perBridge = 250

// done is a table whose rows say that all that was written before them has come.
var done = &oracle.Table{Name: "public.done", Columns: []string{"id"}, Key: []int{0}}

var doneRule = &oracle.Rule{Table: done, Event: "done", Resource: "done", Columns: []string{"id"}, Tenant: "any", Audience: []string{"role:done"}}

// What TestDelivery says, through triggers, outbox, sweep and sockets, with subscriptions that come back by the cursor that
// they last heard.
func TestDeliveryOverSockets(t *testing.T) {
	t.Parallel()
	for i := range max(1, *socketsFlag/perBridge) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			newHall(t, *seedFlag+uint64(i)).run(t)
		})
	}
}

// hall is a bridge on a database, and the oracle's world beside it.
type hall struct {
	*generator
	*rig.Rig
	w    *oracle.World
	conn *pgx.Conn
	rows stock
	seed uint64
	said int // rows of done
	ids  *numbers
	past []string // statements of the history at hand
}

func newHall(t *testing.T, seed uint64) *hall {
	t.Helper()
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 6)), tenants: seed%4 != 0, sql: true}
	rules := append(g.rules(), doneRule)
	environ := []string{"ROWFEED_AUTH_GRANTS={grants}", "ROWFEED_SERVER_MAX_CONNECTIONS_PER_ADDRESS=10000"}
	if g.tenants {
		environ = append(environ, "ROWFEED_AUTH_TENANT={tenant}")
	} else {
		rules[len(rules)-1] = &oracle.Rule{Table: done, Event: "done", Resource: "done", Columns: []string{"id"}, Audience: doneRule.Audience}
	}
	sql := "create table done (id int primary key);"
	for i, tab := range tables {
		var columns []string
		for i, name := range names {
			columns = append(columns, name+" "+types[i])
		}
		sql += fmt.Sprintf("create table %s (%s, primary key (%s));", tab.Name, strings.Join(columns, ", "), []string{"id", "id, part"}[i])
	}
	h := &hall{generator: g, w: &oracle.World{Channel: "c", Rules: rules}, rows: stock{}, seed: seed, ids: newNumbers(),
		Rig: rig.New(t, sql, "  c: "+channelText(rules), environ...)}
	h.conn = h.Conn(t)
	return h
}

// channelText is a channel with the rules, as YAML, of which JSON is a part.
func channelText(rules []*oracle.Rule) string {
	var list []map[string]any
	for _, r := range rules {
		c := configured(r)
		m := map[string]any{}
		for key, v := range map[string]any{"table": c.Table, "event": c.Event, "resource": c.Resource, "columns": c.Columns,
			"data": c.Data, "watch": c.Watch, "operations": c.Operations, "strings": c.Strings, "if": c.If, "tenant": c.Tenant,
			"audience": c.Audience, "message": c.Message, "link": c.Link} {
			if text, _ := json.Marshal(v); string(text) != "null" && string(text) != `""` {
				m[key] = v
			}
		}
		list = append(list, m)
	}
	text, _ := json.Marshal(map[string]any{"class": config.Lossless, "rules": list})
	return string(text)
}

// guest is a session over a socket.
type guest struct {
	*rig.Client
	seat *oracle.Seat
	subs []oracle.Subscription
	got  []line
	last string // cursor
}

func (h *hall) run(t *testing.T) {
	for range min(perBridge, *socketsFlag) {
		h.past = nil
		var guests []*guest
		for range 1 + h.IntN(3) {
			g := h.enter(t, h.user())
			h.subscribe(t, g, h.subscription(h.w.Rules, "s0"), h.begin())
			if h.chance(2) {
				h.subscribe(t, g, h.subscription(h.w.Rules, "s1"), "")
			}
			h.subscribe(t, g, oracle.Subscription{Ref: "done", Resource: "done"}, "")
			guests = append(guests, g)
		}
		h.write(t)
		h.hear(t, guests)
		for _, g := range guests {
			_ = g.CloseNow()
		}
		h.w.Seats = nil
		gone := len(h.w.Changes)
		h.write(t)
		h.comeBack(t, pick(h.generator, guests), gone)
		h.w.Seats = nil
	}
}

// begin says what of the past a session's first subscription begins with.
func (h *hall) begin() string {
	if h.chance(4) {
		return fmt.Sprintf(`,"rewind":%d`, 1+h.IntN(5))
	}
	return ""
}

func (h *hall) enter(t *testing.T, u oracle.User) *guest {
	t.Helper()
	u.Grants = append(slices.Clone(u.Grants), "role:done")
	claims := map[string]any{"user_id": 7 + h.IntN(1000), "grants": u.Grants}
	if u.Tenant != "" {
		claims["tenant"] = u.Tenant
	}
	g := &guest{Client: h.Full(t, rig.Token(claims)), seat: &oracle.Seat{User: u, Room: -1}}
	h.w.Seats = append(h.w.Seats, g.seat)
	return g
}

// subscribe makes a subscription, which may begin with the newest events.
func (h *hall) subscribe(t *testing.T, g *guest, q oracle.Subscription, past string) {
	t.Helper()
	h.ask(t, g, q, past)
	var n int
	if _, err := fmt.Sscanf(past, `,"rewind":%d`, &n); err == nil {
		h.w.Rewind(g.seat, q, n)
	} else {
		h.w.Subscribe(g.seat, q)
	}
	g.subs = append(g.subs, q)
}

// ask sends the frame of a subscription and waits for the answer.
func (h *hall) ask(t *testing.T, g *guest, q oracle.Subscription, past string) {
	t.Helper()
	frame := map[string]any{"type": "subscribe", "ref": q.Ref, "channel": "c"}
	if q.Resource != "" {
		frame["resource"] = q.Resource
	}
	switch len(q.Key) {
	case 0:
	case 1:
		frame["key"] = q.Key[0]
	default:
		frame["key"] = q.Key
	}
	if len(q.Where) > 0 {
		where := map[string][]json.RawMessage{}
		for name, values := range q.Where {
			where[name] = []json.RawMessage{}
			for _, v := range values {
				where[name] = append(where[name], json.RawMessage(v))
			}
		}
		frame["where"] = where
	}
	text, err := json.Marshal(frame)
	if err != nil {
		t.Fatal(err)
	}
	g.Say(string(text[:len(text)-1]) + past + "}")
	for answered := false; !answered; {
		answered = g.read(t) == "subscribed"
	}
}

// read takes the next frame and returns its type.
func (g *guest) read(t *testing.T) string {
	t.Helper()
	raw := g.Raw()
	var f struct {
		Type, Ref, Resource, Reason, Code, Message, Cursor string
		Resumed                                            bool
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	switch f.Type {
	case "heartbeat":
	case "error":
		t.Fatalf("got %s", raw)
	case "subscribed":
		g.got = append(g.got, line{text: fmt.Sprintf("answer %s %v", f.Ref, f.Resumed)})
	case "resync":
		g.got = append(g.got, line{text: fmt.Sprintf("resync %s %s %s", f.Resource, f.Reason, f.Ref)})
	default:
		l := read(raw)
		if l.cursor != "" {
			g.last = l.cursor
		}
		l.cursor = "" // places in this feed are not the oracle's
		g.got = append(g.got, l)
	}
	return f.Type
}

// write changes some rows, here and there in one transaction.
func (h *hall) write(t *testing.T) {
	t.Helper()
	open := h.chance(3)
	if open {
		h.exec(t, "begin")
	}
	for range 1 + h.IntN(6) {
		if c := h.change(h.w.Rules, h.rows); c != nil && c.Table != done {
			h.exec(t, statement(c))
			h.w.Happen(c)
		}
	}
	if open {
		h.exec(t, "commit")
	}
}

func (h *hall) exec(t *testing.T, sql string) {
	t.Helper()
	h.past = append(h.past, sql)
	if _, err := h.conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("-seed %d: %v in %s", h.seed, err, sql)
	}
}

func statement(c *oracle.Change) string {
	values := func(row oracle.Row, between string, name bool, columns []int) string {
		var list []string
		for _, i := range columns {
			text := row[i].SQL
			if name {
				text = names[i] + " = " + text
			}
			list = append(list, text)
		}
		return strings.Join(list, between)
	}
	var all []int
	for i := range names {
		all = append(all, i)
	}
	switch {
	case c.Reason != "":
		return "truncate " + c.Table.Name
	case c.Old == nil:
		return fmt.Sprintf("insert into %s values (%s)", c.Table.Name, values(c.New, ", ", false, all))
	case c.New == nil:
		return fmt.Sprintf("delete from %s where %s", c.Table.Name, values(c.Old, " and ", true, c.Table.Key))
	}
	return fmt.Sprintf("update %s set %s where %s", c.Table.Name, values(c.New, ", ", true, all), values(c.Old, " and ", true, c.Table.Key))
}

// hear has each of them hear all that was written, and compares.
func (h *hall) hear(t *testing.T, guests []*guest) {
	t.Helper()
	h.listen(t, guests)
	for _, g := range guests {
		h.compare(t, g)
	}
}

// listen has each of them hear all that was written.
func (h *hall) listen(t *testing.T, guests []*guest) {
	t.Helper()
	h.said++
	id := oracle.Number(fmt.Sprint(h.said))
	h.exec(t, "insert into done values ("+id.Raw+")")
	h.w.Happen(&oracle.Change{Table: done, New: oracle.Row{id}})
	for _, g := range guests {
		for end := false; !end; {
			end = g.read(t) == "done" && strings.HasPrefix(g.got[len(g.got)-1].text, "insert done c done "+id.Raw+" ")
		}
	}
}

func (h *hall) compare(t *testing.T, g *guest) {
	t.Helper()
	answered := func(text string) bool { return strings.HasPrefix(text, "answer ") } // when, beside what is replayed, is open
	p := &pair{past: true,
		seat: &oracle.Seat{Due: slices.DeleteFunc(slices.Clone(g.seat.Due), answered)},
		sink: &sink{got: slices.DeleteFunc(slices.Clone(g.got), func(l line) bool { return answered(l.text) })}}
	if err := p.compare(h.ids); err != nil {
		t.Fatalf("-seed %d: tenant %q grants %q subscriptions %+v: %v\n%s\n%s", h.seed, g.seat.User.Tenant, g.seat.User.Grants, g.subs, err,
			describe(h.w.Rules, nil), strings.Join(h.past, "\n"))
	}
}

// comeBack resumes a session's first subscription by the last cursor that it heard. The cursor names a tick, which may lie
// some way before: what comes is the end of all that the subscription is for, from there on, and all that was missed.
func (h *hall) comeBack(t *testing.T, old *guest, gone int) {
	t.Helper()
	g := h.enter(t, old.seat.User)
	q := old.subs[0]
	from := max(0, gone-farBack)
	h.w.Resume(g.seat, q, from)
	h.ask(t, g, q, fmt.Sprintf(`,"cursor":%q`, old.last))
	missed := len(events(h.w.Between(g.seat.User, q, gone)))
	h.subscribe(t, g, oracle.Subscription{Ref: "done", Resource: "done"}, "")
	h.listen(t, []*guest{g})
	due, got := events(g.seat.Due), heard(g.got)
	if n := len(due) - len(got); n < 0 || !slices.Equal(due[n:], got) || len(got) < missed {
		t.Fatalf("-seed %d: %+v after a return, %d missed:\n got %s\nwant the end of %s", h.seed, q, missed, strings.Join(got, "\n     "),
			strings.Join(due, "\n     "))
	}
	_ = g.CloseNow()
}

// farBack is how many changes there are at the most since the tick that a cursor names, which is a second or two old.
const farBack = 5000

// events returns the events among what a seat is due, less their places.
func events(due []string) (list []string) {
	for _, l := range due {
		if l[0] >= '0' && l[0] <= '9' {
			_, l, _ = strings.Cut(l, " ")
			list = append(list, l)
		}
	}
	return list
}

func heard(got []line) (list []string) {
	for _, l := range got {
		if l.id != "" {
			list = append(list, l.text)
		}
	}
	return list
}
