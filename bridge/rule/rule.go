// Package rule makes events out of changes: which changes a channel's rules choose, who may receive the event, and the
// finished JSON frame.
//
// Compile turns the configuration into a Book, once. Channel.Apply then runs for every change: it evaluates the rules
// of the change's table in order and gives what comes of it to an Output. It is on the hot path, so all that depends on
// the relation alone (positions, kinds, escaped names) is resolved once per relation, and an event costs a handful of
// allocations: its key, its audience, and what its CEL condition needs, if it has one.
//
// What decides, in this order:
//
//   - the operation; on update also whether a column changed that the rule watches, or that its audience, tenant or
//     condition reads;
//   - the condition (`if`): row is the new row, old the previous one or null; on delete row is the old row;
//   - the audience of the old and of the new row. A template over NULL or an empty value gives no grant, one over a
//     JSON array a grant for each item. No tenant, or nobody in either audience: no event.
//
// An update that changes the primary key is what a frontend that holds rows by key sees: the row under the old key is
// gone, and there is one under the new key. It becomes a delete and an insert, each sent if the rule's operations have
// it or update.
//
// Nothing fails in silence: a condition or a relation that can't be evaluated is a Fault for the operator and a Notice
// for the subscribers it might have concerned, and the other rules go on.
package rule

import (
	"sync"
	"sync/atomic"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
)

// Output receives what Apply makes of a change. An event, its Body and its audience are valid only until Event returns;
// a notice may be kept.
type Output interface {
	Event(*change.Event)
	Notice(change.Notice)
	Fault(Fault)
}

// The kinds of Fault.
const (
	FaultCondition = "condition" // the rule's condition failed on a row
	FaultAudience  = "audience"  // a value of the row can't stand in an audience or a tenant
	FaultPanic     = "panic"     // applying it panicked: a defect of the program
	FaultRelation  = "relation"  // what was captured lacks what the rule needs: an older version of the capture
)

// Fault is a rule that could not be applied to a change. It holds no row data, so it may be logged.
type Fault struct {
	Channel, Table, Event string
	Rule                  int // number in the channel, from 0
	Kind                  string
	Err                   error
}

// Book is the compiled rules of all channels. It is immutable and safe for concurrent use.
type Book struct {
	channels map[string]*Channel
	wants    []change.Want
}

// Channel returns the compiled rules of a channel, or nil.
func (b *Book) Channel(name string) *Channel { return b.channels[name] }

// Wants returns what must be captured: one entry per channel and table, by channel name and in the order of the rules;
// then what grants are made of, for the control channel.
func (b *Book) Wants() []change.Want { return b.wants }

// Wants compiles the configuration for what it wants captured only.
func Wants(cfg *config.Config) ([]change.Want, []config.Problem) {
	book, problems := Compile(cfg)
	if len(problems) > 0 {
		return nil, problems
	}
	return book.Wants(), nil
}

// Channel is the compiled rules of one channel. It is safe for concurrent use.
type Channel struct {
	name      string
	rules     []*rule
	tables    map[string][]*rule
	resources []string
	fields    map[string]map[string]bool
	anyTenant bool
	tenants   bool

	bindings atomic.Pointer[map[*change.Relation]*binding]
	binding  sync.Mutex // held to add to bindings
	states   sync.Pool  // *state
}

// Resources returns the channel's resources, in the order of the rules.
func (ch *Channel) Resources() []string { return ch.resources }

// Fields returns the fields of data that any rule of the resource sends; of the whole channel where resource is empty.
// Not to be changed.
func (ch *Channel) Fields(resource string) map[string]bool { return ch.fields[resource] }

// Scopes tells whether the channel has rules with `tenant: any`, and whether it has others: which forms of a session's
// grants can meet an audience here.
func (ch *Channel) Scopes() (anyTenant, tenants bool) { return ch.anyTenant, ch.tenants }

// rule is one compiled rule. Columns are indexes in columns; a binding knows where they are in a relation's rows.
type rule struct {
	channel, table, event, resource string
	number                          int
	operations                      operations
	latest                          bool
	columns                         []string
	quoted                          []bool // by column: under strings
	fields                          []field
	condition                       *condition
	tenant                          template // not used where anyTenant
	anyTenant                       bool
	audience                        []template
	static                          []string // the audience, where no template of it reads a column
	scope                           []int    // columns that the audience and the tenant read
	watch                           []int    // columns whose change makes an update an event, the scope's included
	message, link                   template

	head, middle        []byte // the frame up to the id, and from there to the key
	tag, vacated        string // ends of the event's id: of its own, and of the delete that a changed key makes
	hasMessage, hasLink bool
}

// field is one field of data.
type field struct {
	name  string
	label []byte // "name":
	index int
}

// operations is a set of Insert, Update and Delete.
type operations uint8

func (o operations) has(op change.Op) bool { return o&operationOf(op) != 0 }

func operationOf(op change.Op) operations {
	switch op {
	case change.Insert:
		return 1
	case change.Update:
		return 2
	case change.Delete:
		return 4
	}
	return 0
}

// tableName returns a table's name with its schema, as relations have it: without the quotes that it may be written in.
func tableName(table string) string {
	schema, name, err := change.SplitTable(table)
	if err != nil {
		return table // which installing it refuses
	}
	return schema + "." + name
}
