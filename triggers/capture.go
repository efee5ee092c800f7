package triggers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"nalar.internal/rowfeed/bridge/change"
)

// capture is one version of what is captured of a table, as rowfeed.capture holds it.
type capture struct {
	id                    int32
	relation              string
	columns, kinds, types []string
	key, channels         []int16
	hash                  string
	function              *function
}

// captureData fills in sql/capture.sql.
type captureData struct {
	common
	ID        int32
	Relation  string
	Columns   []*column
	Channels  []captureChannel
	Unbounded bool
	Image     bool // some channel wants every update that changes the row
}

// captureChannel is the part of one channel.
type captureChannel struct {
	ID      int16
	Notify  string
	Door    string // SQL: the key of the lock that says whether somebody is awake
	Ring    bool
	Changed string // SQL: whether an update changed what the channel watches; empty: any of the columns will do
}

// Values is the array of the captured values of OLD or NEW.
func (d captureData) Values(row string) string {
	if len(d.Columns) == 0 {
		return "'{}'::pg_catalog.text[]"
	}
	list := make([]string, len(d.Columns))
	for i, c := range d.Columns {
		list[i] = c.text(row + "." + ident(c.name))
	}
	return "array[\n            " + strings.Join(list, ",\n            ") + "]"
}

// Guard tells whether the columns still have the types that the expressions were made for: another one could have a
// text that reads as something else.
func (d captureData) Guard(row string) string {
	var list []string
	for _, c := range d.Columns {
		if g := c.guard(row + "." + ident(c.name)); g != "" {
			list = append(list, g)
		}
	}
	if len(list) == 0 {
		return "true"
	}
	return strings.Join(list, "\n            and ")
}

// door is the key of a channel's lock between leader and triggers, as SQL.
func door(schema, channel string) string {
	return fmt.Sprintf("'%d'::pg_catalog.int8", change.DoorKey(schema, channel))
}

// Version is the SQL of what names a version of a row: its table and its place there.
func (captureData) Version(row string) string {
	return "pg_catalog.concat(' ', TG_RELID, " + row + ".ctid)"
}

// Statement is the SQL of what names the client's statement, by its time in microseconds.
func (captureData) Statement() string {
	return "(pg_catalog.date_part('epoch', pg_catalog.statement_timestamp()) operator(pg_catalog.*) 1e6)::pg_catalog.int8::pg_catalog.text"
}

// Overtaken is the SQL of whether the version of the row that is to be captured was replaced within the statement. It is
// asked only of versions that have an xmax, which those that were only locked have too.
func (d captureData) Overtaken() string {
	return "pg_catalog.current_setting('rowfeed.replaced', true) operator(pg_catalog.~~) any (array[\n" +
		"              " + d.Statement() + " operator(pg_catalog.||) '% *',\n" +
		"              " + d.Statement() + " operator(pg_catalog.||) '%' operator(pg_catalog.||) " + d.Version("NEW") +
		" operator(pg_catalog.||) '%'])"
}

// Inserted is the SQL of where triggers have inserted: the statement, and each table with the depth of triggers beneath which
// it was.
func (captureData) Inserted() string { return "pg_catalog.current_setting('rowfeed.inserted', true)" }

// Within and Beneath are the SQL of patterns: of a row that was inserted as deep in triggers as this one, and of any that was
// inserted deeper.
func (d captureData) Within() string {
	return d.inserted("least(pg_catalog.pg_trigger_depth() operator(pg_catalog.-) 1, 9)")
}

func (d captureData) Beneath() string {
	return d.inserted("'[', least(pg_catalog.pg_trigger_depth(), 9), '-9]'")
}

func (d captureData) inserted(depth string) string {
	return "pg_catalog.concat('^', " + d.Statement() + ", '.* ', TG_RELID, '<', " + depth + ")"
}

// Appends is whether an update is to be appended for some channel.
func (d captureData) Appends() string {
	if len(d.Channels) == 1 && d.Channels[0].Changed != "" {
		return d.Channels[0].Changed
	}
	return imagesDiffer
}

// Chosen is the SQL of whether the channel takes what is appended; empty where it takes all of it.
func (d captureData) Chosen(c captureChannel) string {
	if len(d.Channels) == 1 || c.Changed == "" {
		return ""
	}
	return "(v_old is null or v_new is null or " + c.Changed + ")"
}

// Known is the SQL of whether the plan knows a slot that can be appended to.
func (d captureData) Known() string {
	ends := make([]string, slots)
	for i := range ends {
		ends[i] = d.SlotEnd(i)
	}
	return "coalesce(" + strings.Join(ends, ",\n          ") + ") is not null"
}

// Time is the SQL of when a change was captured; infinity where that takes a closer look.
func (d captureData) Time() string {
	if d.Unbounded {
		return "case when " + d.Larger() + "\n          then 'infinity'::pg_catalog.timestamptz else pg_catalog.clock_timestamp() end"
	}
	return "pg_catalog.clock_timestamp()"
}

// UpdateOrInsert is the SQL of what an update or an insert is in the outbox.
func (captureData) UpdateOrInsert() string {
	return "case when v_old is null then 'i'::pg_catalog.\"char\" else 'u'::pg_catalog.\"char\" end"
}

// Larger is the SQL of whether an outbox row might be above the server's limit of 1 GB, which would be the ERP's error.
func (d captureData) Larger() string {
	return fmt.Sprintf("(coalesce(pg_catalog.pg_column_size(v_old), 0)::pg_catalog.int8 operator(pg_catalog.+)\n"+
		"        coalesce(pg_catalog.pg_column_size(v_new), 0)) operator(pg_catalog.>) %d", maxRow)
}

// appended fills in the statement that appends a row.
type appended struct {
	S       string
	Slot    int
	ID      int32
	Channel int16
	Op      string // SQL
}

// Append is that of a slot and a channel.
func (d captureData) Append(slot int, channel int16, op string) appended {
	return appended{S: d.S(), Slot: slot, ID: d.ID, Channel: channel, Op: op}
}

// Turned are the slots, last first.
func (d captureData) Turned() []int { return []int{2, 1, 0} }

// Differ is whether an update changed any of the columns; null where it is no update, or can't be told.
func (d captureData) Differ() string { return imagesDiffer }

// functionName is stable, unique and at most 63 bytes, whatever the table is called.
func functionName(schema, name string) string {
	sum := sha256.Sum256([]byte(schema + "\x00" + name))
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
	return "capture_" + readable[:min(len(readable), nameLimit-len("capture_")-9)] + "_" + hex.EncodeToString(sum[:4])
}

// newCapture generates what is captured of the table with the given id. Equal wants of an equal table give an equal
// hash, whatever the id.
func (s *State) newCapture(t *table, id int32) *capture {
	c := &capture{id: id, relation: t.want.relation()}
	data := captureData{common: s.target.common(), ID: id, Relation: c.relation}
	for _, name := range union(t.want.columns, t.keys()) {
		col := t.columns[name]
		data.Columns = append(data.Columns, col)
		data.Unbounded = data.Unbounded || col.unbounded()
		c.columns = append(c.columns, name)
		c.kinds = append(c.kinds, string(col.kind()))
		c.types = append(c.types, col.format)
	}
	for _, name := range t.keys() {
		c.key = append(c.key, int16(slices.Index(c.columns, name))) //nolint:gosec // a table has at most 1,600 columns
	}
	for _, w := range t.want.channels {
		channel := captureChannel{ID: s.channelID(w.name), Notify: s.target.notify(w.name),
			Door: door(s.target.Schema, w.name), Ring: w.wake != wakeBySweep}
		if w.any {
			data.Image, channel.Changed = true, "v_any"
		} else {
			channel.Changed = changed(c.columns, union(w.watch, t.key))
		}
		data.Channels = append(data.Channels, channel)
		c.channels = append(c.channels, channel.ID)
	}
	for i := range data.Channels {
		if !data.Image && data.Channels[i].Changed == imagesDiffer {
			data.Channels[i].Changed = ""
		}
	}
	settings := settingsOf(data.Columns, s.server.monetary)
	c.function = &function{
		name: functionName(t.want.schema, t.want.name), returns: "trigger", settings: settings,
		body: render("capture", data),
	}
	data.ID = 0
	c.hash = hash(render("capture", data), fmt.Sprint(c.function.config()), fmt.Sprint(c.columns, c.types, c.key))
	return c
}

// imagesDiffer is what an update has to be for any channel; whoever watches all columns asks nothing more.
const imagesDiffer = "v_old operator(pg_catalog.<>) v_new"

// changed compares the watched values. Arrays are compared, not values: there null equals null.
func changed(columns, watch []string) string {
	if len(watch) == len(columns) {
		return imagesDiffer
	}
	var was, now []string
	for i, name := range columns {
		if slices.Contains(watch, name) {
			was = append(was, fmt.Sprintf("v_old[%d]", i+1))
			now = append(now, fmt.Sprintf("v_new[%d]", i+1))
		}
	}
	return "array[" + strings.Join(was, ", ") + "] operator(pg_catalog.<>) array[" + strings.Join(now, ", ") + "]"
}

func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// insert is the statement that writes the version down.
func (c *capture) insert(schema, unlessThere string) string {
	return fmt.Sprintf("insert into %s (id, relation, columns, kinds, types, key, channels, hash) values (\n"+
		"  %d, %s, %s,\n  %s, %s,\n  %s, %s, %s)%s;\n", ident(schema, "capture"), c.id, literal(c.relation),
		literals(c.columns, "text"), literals(c.kinds, "text"), literals(c.types, "text"),
		literals(c.key, "smallint"), literals(c.channels, "smallint"), literal(c.hash), unlessThere)
}

// keyNames lists the columns of the key.
func (c *capture) keyNames() string {
	names := make([]string, len(c.key))
	for i, k := range c.key {
		names[i] = c.columns[k]
	}
	return strings.Join(names, ", ")
}
