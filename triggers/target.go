package triggers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

// Target is what the configuration wants of a database.
type Target struct {
	Schema      string        // rowfeed's own schema
	Retention   time.Duration // the length of a slot of the outbox's ring; at least a minute
	RuntimeRole string        // the role that serve connects as; it gets what it needs to read, nothing else
	Wants       []change.Want
}

const (
	slots        = 3         // of the outbox's ring
	openSlots    = 5         // the current one, and four in which captures go on without a bridge
	version      = 4         // of the schema; 1 had neither epoch nor swept, 2 no control channel, 3 captures without end
	nameLimit    = 63        // bytes of a PostgreSQL name, and of a NOTIFY channel
	maxRow       = 256 << 20 // bytes of old and new values together; a larger change is captured as a resync
	wakeBySweep  = "sweep"
	defaultOwner = "_owner"
)

func (t *Target) owner() string           { return t.Schema + defaultOwner }
func (t *Target) rowTrigger() string      { return "00_" + t.Schema }
func (t *Target) truncateTrigger() string { return t.rowTrigger() + "_truncate" }
func (t *Target) notify(channel string) string {
	return t.Schema + ":" + channel
}
func (t *Target) slotSeconds() int { return int(max(t.Retention, time.Minute) / time.Second) }

// wanted is what all channels together want of one table.
type wanted struct {
	schema, name string
	columns      []string // union of the channels', in first-seen order; the key is appended once it is known
	channels     []wantedChannel
	key          []string // the configured one; empty: the primary key
}

// wantedChannel is one channel's part of it.
type wantedChannel struct {
	name  string
	watch []string
	any   bool // whatever an update changes
	wake  string
}

// relation is the table's name as rowfeed.capture holds it.
func (w *wanted) relation() string { return w.schema + "." + w.name }

// merge gathers the wants of each table, in first-seen order.
func merge(wants []change.Want) ([]*wanted, error) {
	var all []*wanted
	for _, want := range wants {
		schema, name, err := change.SplitTable(want.Table)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(w *wanted) bool { return w.schema == schema && w.name == name })
		if i < 0 {
			i = len(all)
			all = append(all, &wanted{schema: schema, name: name})
		}
		if err := all[i].add(want); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (w *wanted) add(want change.Want) error {
	if keyed := func(c wantedChannel) bool { return !c.any }; !want.Any {
		if slices.ContainsFunc(w.channels, keyed) && !slices.Equal(w.key, want.Key) {
			return fmt.Errorf("table %s: its rules name different keys, (%s) and (%s): write the same `key` in all of them", w.relation(),
				strings.Join(w.key, ", "), strings.Join(want.Key, ", "))
		}
		w.key = want.Key
	}
	watch := want.Watch
	if len(watch) == 0 && !want.Any {
		watch = want.Columns
	}
	w.columns = union(w.columns, want.Columns, want.Watch)
	i := slices.IndexFunc(w.channels, func(c wantedChannel) bool { return c.name == want.Channel })
	if i < 0 {
		w.channels = append(w.channels, wantedChannel{name: want.Channel, wake: want.Wake})
		i = len(w.channels) - 1
	}
	w.channels[i].watch = union(w.channels[i].watch, watch)
	w.channels[i].any = w.channels[i].any || want.Any
	return nil
}

// keyless tells that nobody needs to tell the table's rows apart.
func (w *wanted) keyless() bool {
	return !slices.ContainsFunc(w.channels, func(c wantedChannel) bool { return !c.any })
}

// union returns a with the members of the other lists that it lacks, in order.
func union(a []string, lists ...[]string) []string {
	out := slices.Clone(a)
	for _, list := range lists {
		for _, s := range list {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// nearest returns the candidate that a misspelt name probably means, or "".
func nearest(name string, candidates []string) string {
	best, limit := "", len(name)/2+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := previous
			if a[i] != b[j] {
				cost++
			}
			previous = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
