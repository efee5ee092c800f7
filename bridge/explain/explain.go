package explain

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/bridge/session"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/config"
)

// Explainer answers questions.
type Explainer struct {
	Config   *config.Config
	Channels map[string]*rule.Channel
	Node     *Node // nil: what can be told without a bridge
}

// Node is what a running bridge adds.
type Node struct {
	Sessions *session.Server
	// Position returns where a change of a channel stands in memory, 0 where it is not there, and whether the channel has
	// been swept since its transaction ended.
	Position func(channel string, xid, lsn uint64, at time.Time) (pos uint64, swept bool)
	// Drift says since when a table (schema.table) is not captured as the rules need it, and why; empty where it is.
	Drift func(table string) string
}

// New makes an Explainer that works by the configuration alone. Its errors are config.Problems.
func New(cfg *config.Config) (*Explainer, error) {
	book, problems := rule.Compile(cfg)
	if len(problems) > 0 {
		return nil, cfg.Locate(problems)
	}
	x := &Explainer{Config: cfg, Channels: map[string]*rule.Channel{}}
	for name := range cfg.Channels {
		x.Channels[name] = book.Channel(name)
	}
	return x, nil
}

// Explain answers a question by what the outbox holds, read on a connection that nobody else uses meanwhile.
func (x *Explainer) Explain(ctx context.Context, conn *pgx.Conn, q Question) (*Report, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	r := &Report{}
	if x.Node != nil {
		r.Node = x.Node.Sessions.Node()
	}
	err := source.Find(ctx, conn, x.Config.Database.Schema, func(f *source.Finder) error {
		e, err := f.Edge(ctx)
		if err != nil {
			return err
		}
		s := &search{x: x, q: q, f: f, edge: e, report: r}
		if q.Event != "" {
			return s.byEvent(ctx)
		}
		return s.byRow(ctx)
	})
	return r, err
}

// search is one question being answered.
type search struct {
	x      *Explainer
	q      Question
	f      *source.Finder
	edge   *source.Edge
	report *Report
}

// add explains a change that was found. Where a tag is given only the rule counts that made the event.
func (s *search) add(found *source.Found, tag string) {
	c := &found.Change
	ch := &Change{Channel: found.Channel, At: c.At, Txid: strconv.FormatUint(c.Xid, 10), Op: opWord(c.Op)}
	s.report.Changes = append(s.report.Changes, ch)
	if c.Relation == nil {
		ch.Gates = []Gate{{Captured, Unknown, "It is in the outbox, but its row in the table capture is gone, so nobody can " +
			"read it: run `rowfeed migrate status`."}}
		return
	}
	ch.Table = c.Relation.Table
	ch.Gates = []Gate{{Captured, Yes, "It is in the outbox of channel " + found.Channel + "."}}
	rules := s.x.Channels[found.Channel]
	if rules == nil {
		ch.Gates = append(ch.Gates, Gate{Matched, No, "No channel of that name is configured here any more."})
		return
	}
	place := change.Place{Epoch: s.edge.Epoch}
	rules.Trace(place, c, func(t *rule.Trace) {
		if tag == "" || t.ID == s.q.Event {
			ch.Rules = append(ch.Rules, s.rule(found, t))
		}
	})
	if len(ch.Rules) == 0 {
		ch.Gates = append(ch.Gates, Gate{Matched, No, "No rule of channel " + found.Channel + " is for table " + ch.Table +
			" and this event: it was made by another configuration."})
	}
}

// byEvent explains the event with an id.
func (s *search) byEvent(ctx context.Context) error {
	id, ok := change.ParseID(s.q.Event)
	if !ok {
		s.captured(No, "%q is no event's id: copy the field id of a frame.", s.q.Event)
		return nil
	}
	list, err := s.f.At(ctx, id.Xid, id.LSN, id.At)
	if err != nil {
		return err
	}
	if id.Epoch != s.edge.Epoch {
		s.captured(No, "The event is of another history of the database (%s, this one is %s): it was before a failover, a "+
			"restore, or a new installation. Its outbox is gone.", id.Epoch, s.edge.Epoch)
		return nil
	}
	for _, found := range list {
		if s.q.Channel == "" || s.q.Channel == found.Channel {
			s.add(found, id.Tag)
		}
	}
	if len(s.report.Changes) > 0 {
		return nil
	}
	return s.missing(ctx, id)
}

// missing says why no change has the event's id.
func (s *search) missing(ctx context.Context, id change.EventID) error {
	var status string
	if id.Xid < s.edge.Snapshot.Xmax {
		var err error
		if status, err = s.f.Status(ctx, id.Xid); err != nil {
			return err
		}
	}
	switch {
	case status == "in progress":
		s.captured(No, "Its transaction %d is not committed yet: what it changed comes when it commits.", id.Xid)
	case status == "aborted":
		s.captured(No, "Its transaction %d was rolled back: there was no such change.", id.Xid)
	case id.Xid <= s.edge.Horizon || id.At.Before(s.edge.Oldest):
		s.captured(Unknown, "It is older than what the outbox still holds (since %s): for longer, raise database.retention.",
			clock(s.edge.Oldest))
	default:
		s.captured(No, "No change in the outbox has this id, and nothing of its time is gone: copy the id from a frame as it is.")
	}
	return nil
}

// byRow explains the newest changes of a row.
func (s *search) byRow(ctx context.Context) error {
	table := qualified(s.q.Table)
	named := false
	for _, name := range slices.Sorted(maps.Keys(s.x.Channels)) {
		rules := s.x.Channels[name]
		if s.q.Channel != "" && s.q.Channel != name || len(rules.Serves(table)) == 0 {
			continue
		}
		named = true
		if err := s.newest(ctx, name, table, rules); err != nil {
			return err
		}
	}
	if !named {
		where := "No rule"
		if s.q.Channel != "" {
			where = "No rule of channel " + s.q.Channel
		}
		s.captured(No, "%s is for table %s: nothing of it is captured. Add a rule, then run `rowfeed migrate up`.", where, table)
	}
	return nil
}

// newest explains the newest changes of the row in one channel.
func (s *search) newest(ctx context.Context, channel, table string, rules *rule.Channel) error {
	list, voided, all, err := s.f.Newest(ctx, channel, table, s.q.Key, cmp.Or(s.q.Newest, 1), func(c *change.Change) bool {
		return rules.HasKey(c, s.q.Key)
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(a, b *source.Found) int { return cmp.Compare(b.Change.LSN, a.Change.LSN) })
	for _, found := range list {
		s.add(found, "")
	}
	if voided != nil {
		s.captured(No, "Channel %s: at %s table %s %s, and its subscribers were told to fetch afresh (resync).", channel,
			clock(voided.Change.At), table, voidWord(voided.Change.Op))
	}
	if len(list) > 0 {
		return s.watched(ctx, channel, table, false)
	}
	if !all {
		s.captured(Unknown, "Channel %s: the newest changes were looked through without one of this row; older ones were not: "+
			"give the event's id.", channel)
		return nil
	}
	return s.watched(ctx, channel, table, true)
}

// watched says how the table's trigger stands; nothing where all is well and something was found.
func (s *search) watched(ctx context.Context, channel, table string, nothing bool) error {
	exists, enabled, err := s.f.Watching(ctx, table)
	if err != nil {
		return err
	}
	const up = "run `rowfeed migrate up`"
	switch {
	case !exists:
		s.captured(No, "There is no table %s in this database: correct the rule's table.", table)
	case enabled == "":
		s.captured(No, "Table %s has no trigger of rowfeed: its changes are not captured: %s.", table, up)
	case enabled == "D" || enabled == "R":
		s.captured(No, "The trigger of rowfeed on table %s is disabled: its changes are not captured: %s.", table, up)
	case s.drift(table) != "":
		s.captured(Unknown, "%s.", s.drift(table))
	case !nothing:
	case !s.f.Captured(table):
		s.captured(No, "Table %s was never captured: %s.", table, up)
	default:
		s.captured(No, "Channel %s: since %s no committed change of row %s of %s is in the outbox. Either nothing was "+
			"committed (%s), or what changed are columns that no rule watches (watched are %s), or it is longer ago than "+
			"database.retention, or the key is another one.", channel, clock(s.edge.Oldest), strconv.Quote(s.q.Key), table,
			openWord(len(s.edge.Snapshot.Xip)), s.watches(channel, table))
	}
	return nil
}

func (s *search) drift(table string) string {
	if s.x.Node == nil {
		return ""
	}
	return s.x.Node.Drift(table)
}

func (s *search) captured(v Verdict, format string, args ...any) {
	s.report.Gates = append(s.report.Gates, gateOf(Captured, v, format, args...))
}

// watches lists the columns of a table whose change the channel's rules want to hear of.
func (s *search) watches(channel, table string) string {
	var names []string
	for _, w := range s.x.Channels[channel].Watches(table) {
		if !slices.Contains(names, w) {
			names = append(names, w)
		}
	}
	if len(names) == 0 {
		return "none: no rule looks at updates"
	}
	return strings.Join(names, ", ")
}

func qualified(table string) string {
	if strings.Contains(table, ".") {
		return table
	}
	return "public." + table
}
