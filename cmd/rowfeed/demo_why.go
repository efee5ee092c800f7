package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"nalar.internal/rowfeed/bridge/explain"
	"nalar.internal/rowfeed/bridge/operate"
)

// whyChanges is how many of a row's newest changes are looked through for the one that is asked about.
const whyChanges = 20

// demoWhy is why one of the demo's people was sent a change or not.
type demoWhy struct {
	User  string          `json:"user"`
	Sent  explain.Verdict `json:"sent"`
	Gates []explain.Gate  `json:"gates"` // in their order, up to the one that decided
}

// why explains what became of a change for each of the demo's people. The page has no say in whom it is about: to
// explain is an operator's right, and this server has it only to ask for its own people.
func (s *demoServer) why(r *http.Request, _ *demoPerson) (any, error) {
	var body struct {
		Resource, Key, Txid string
	}
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	table := s.tableOf(body.Resource)
	if _, err := strconv.ParseInt(body.Key, 10, 64); err != nil || table == "" {
		return nil, &refusal{http.StatusUnprocessableEntity, "no such row"}
	}
	list := make([]*demoWhy, len(s.people))
	g, ctx := errgroup.WithContext(r.Context())
	for i, p := range s.people {
		g.Go(func() error {
			report, err := explained(ctx, s.stage.operator, s.stage.cfg.Database.Schema,
				explain.Question{User: p.ID, Table: table, Key: body.Key, Newest: whyChanges})
			if err != nil {
				return err
			}
			list[i], err = s.whyOf(p, report, body.Txid)
			return err
		})
	}
	return list, g.Wait()
}

func (s *demoServer) tableOf(resource string) string {
	for table, name := range s.tables {
		if name == resource {
			return table
		}
	}
	return ""
}

// explained asks the bridge as an operator does.
func explained(ctx context.Context, db *pgxpool.Pool, schema string, q explain.Question) (*explain.Report, error) {
	conn, err := db.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the bridge: %w", err)
	}
	defer conn.Release()
	replies, err := operate.Ask(ctx, conn.Conn(), schema, operate.KindExplain, q)
	switch {
	case err != nil:
		return nil, &refusal{http.StatusUnprocessableEntity, err.Error()}
	case len(replies.Replies) == 0:
		return nil, &refusal{http.StatusUnprocessableEntity, "the bridge did not answer: try again"}
	}
	var answer struct {
		explain.Report
		operate.Failed
	}
	if err := json.Unmarshal(replies.Replies[0].Body, &answer); err != nil {
		return nil, fmt.Errorf("read answer of the bridge: %w", err)
	}
	if answer.Error != "" {
		return nil, &refusal{http.StatusUnprocessableEntity, answer.Error}
	}
	return &answer.Report, nil
}

// whyOf picks from a report how far the transaction's change came on its way to the person, by the rule and the session
// that it came farthest with.
func (s *demoServer) whyOf(p *demoPerson, report *explain.Report, txid string) (*demoWhy, error) {
	var best []explain.Gate
	far := -1
	for _, change := range report.Changes {
		if change.Txid != txid {
			continue
		}
		for _, gates := range s.paths(p, change) {
			if n := passed(gates); n >= far {
				best, far = gates, n
			}
		}
	}
	if far < 0 {
		return nil, &refusal{http.StatusUnprocessableEntity,
			fmt.Sprintf("this row has changed more than %d times since: ask about a newer change", whyChanges)}
	}
	best = best[:min(far+1, len(best))]
	for i := range best {
		best[i].Text = visitorsWords(p, best[i])
	}
	return &demoWhy{User: p.ID, Sent: best[len(best)-1].Verdict, Gates: best}, nil
}

// paths lists the ways that a change may have taken to a person: one for each rule and session.
func (s *demoServer) paths(p *demoPerson, change *explain.Change) [][]explain.Gate {
	if len(change.Rules) == 0 {
		return [][]explain.Gate{change.Gates}
	}
	var list [][]explain.Gate
	for _, rule := range change.Rules {
		// A row that stays with those who see it moves nobody. What the bridge says of a person without a session comes
		// after, and the demo knows it better.
		gates := slices.DeleteFunc(slices.Concat(change.Gates, rule.Gates), func(g explain.Gate) bool {
			return g.Name == explain.Move && !strings.Contains(g.Text, "changes the audience") ||
				slices.Contains(afterMove, g.Name)
		})
		open := slices.DeleteFunc(rule.Sessions, func(one *explain.Session) bool { return one.Gates[0].Name == explain.Subscribed })
		switch {
		case passed(gates) < len(gates):
			list = append(list, gates)
		case len(open) == 0:
			list = append(list, append(gates, s.absent(p, gates)...))
		}
		for _, one := range open {
			list = append(list, slices.Concat(gates, one.Gates))
		}
	}
	return list
}

// afterMove are the gates that sessions decide.
var afterMove = []string{explain.Grants, explain.Subscribed, explain.Queued, explain.Written}

// absent says what would be the matter with a person as whom no page is open: whether they may see the row the demo
// knows from the ERP's tables.
func (s *demoServer) absent(p *demoPerson, gates []explain.Gate) []explain.Gate {
	has := s.grants(p)
	said := ""
	for _, g := range gates {
		if g.Name == explain.Audience {
			said = g.Text
		}
	}
	i := slices.IndexFunc(has, func(grant string) bool {
		quoted := strconv.Quote(grant)
		return strings.Contains(said, quoted+" of any tenant") ||
			strings.Contains(said, quoted+" of tenant "+strconv.Quote(strconv.FormatInt(p.company, 10)))
	})
	if i < 0 {
		return []explain.Gate{{Name: explain.Grants, Verdict: explain.No,
			Text: fmt.Sprintf("None of what %s holds (%s) is in the audience", p.First, quoted(has))}}
	}
	return []explain.Gate{
		{Name: explain.Grants, Verdict: explain.Yes, Text: fmt.Sprintf("%s holds %s", p.First, quoted(has[i:i+1]))},
		{Name: explain.Subscribed, Verdict: explain.No, Text: fmt.Sprintf("No page is open as %s", p.First)},
	}
}

// grants lists what the configuration gives the person now.
func (s *demoServer) grants(p *demoPerson) []string {
	list := []string{"user:" + p.ID}
	away := func(label string) bool {
		return slices.ContainsFunc(s.rights.of(p), func(one demoRight) bool { return !one.Held && one.Label == label })
	}
	for _, g := range p.groups {
		if !away(g.Name) {
			list = append(list, "role:"+g.Name)
		}
	}
	for _, w := range p.Warehouses {
		if !away(w.Name) {
			list = append(list, "warehouse:"+w.ID)
		}
	}
	return list
}

func quoted(list []string) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = strconv.Quote(s)
	}
	return strings.Join(texts, ", ")
}

// passed counts the gates up to the first that did not say yes.
func passed(gates []explain.Gate) int {
	i := slices.IndexFunc(gates, func(g explain.Gate) bool { return g.Verdict != explain.Yes })
	if i < 0 {
		return len(gates)
	}
	return i
}

// visitorsWords says a gate's words to a visitor: the first sentence, since what follows is advice to an operator, and once what
// holds for the old row as for the new.
func visitorsWords(p *demoPerson, g explain.Gate) string {
	text, _, _ := strings.Cut(g.Text, ". ")
	text = strings.NewReplacer("It holds ", p.First+" holds ", "what it holds", "what "+p.First+" holds").Replace(text)
	text = strings.TrimSuffix(text, ".")
	who, ok := strings.CutPrefix(text, "Those may see it who hold, for ")
	if !ok {
		return text + "."
	}
	was, now, both := strings.Cut(strings.TrimPrefix(who, "the old row: "), "; the new row: ")
	switch {
	case !both:
		return "It is for " + strings.TrimPrefix(was, "the new row: ") + "."
	case was == now:
		return "It is for " + now + "."
	}
	return "It was for " + was + ", and is for " + now + "."
}
