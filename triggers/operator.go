package triggers

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
)

// operators is how what operators need stands in a database.
type operators struct {
	role    bool // it exists, in this server
	tables  bool
	granted bool // the role may call what it has to
}

// operator is the role, which can't log in, whose members may ask and kick.
func (t *Target) operator() string { return t.Schema + "_operator" }

// askable are the functions that an operator calls; beside them the bridge calls requested and answer.
var askable = []string{"ask", "answers"}

// RequestID is what stands for a version of a capture in the outbox row of a request.
func (c common) RequestID() int { return change.RequestCapture }

// Control is the channel that requests come by.
func (c common) Control() string { return change.Control }

// ControlNotify is what wakes the nodes.
func (c common) ControlNotify() string { return c.Schema + ":" + change.Control }

// ControlDoor is the key of the lock that they hold while they are awake, as SQL.
func (c common) ControlDoor() string { return door(c.Schema, change.Control) }

// Requests is how many requests there may be within half a minute.
func (c common) Requests() int { return 60 }

// Answers is how many nodes may answer a request.
func (c common) Answers() int { return 200 }

// readOperators reads how it stands.
func (s *State) readOperators(ctx context.Context, tx pgx.Tx) error {
	o := &s.operators
	return tx.QueryRow(ctx, query("inspect_operator"), s.target.Schema, s.target.operator(), askable).Scan(
		&o.role, &o.tables, &o.granted)
}

// requests makes the tables of requests and answers.
func (p *planner) requests() {
	if p.operators.tables {
		return
	}
	p.step("create the tables request and answer", p.asOwner(render("operator", p.target.common())),
		fmt.Sprintf("drop table %s, %s;\n", ident(p.target.Schema, "answer"), ident(p.target.Schema, "request")))
}

// letAsk makes the operators' role and lets it ask. Who may not create roles goes without, and is told: see Notes.
func (p *planner) letAsk() {
	role := p.target.operator()
	if !p.roles.operator.exists {
		if !p.mayMakeRoles() && (p.server.installed || len(p.lacks) == 0) { // else it is somebody else who will run this
			return
		}
		p.createRole(role, "whose members may ask the bridges and kick sessions", false)
	}
	if p.operators.granted {
		return
	}
	names := make([]string, len(askable))
	for i, name := range askable {
		names[i] = signature(p.target.Schema, name)
	}
	give := func(verb, to string) string {
		return p.asOwner(fmt.Sprintf("%s usage on schema %s %s %s;\n%s execute on function %s %s %s;\n", verb, ident(p.target.Schema),
			to, ident(role), verb, strings.Join(names, ", "), to, ident(role)))
	}
	p.step("let role "+role+" ask", give("grant", "to"), give("revoke", "from"))
}

// arguments are those of the functions that have any.
var arguments = map[string]string{
	"writable":   "p_table regclass",
	"proven":     "p_at timestamptz",
	"open_until": "p_sequence regclass",
	"slot_end":   "p_slot integer, p_sequence regclass, variadic p_tables regclass[]",
	"ask":        "p_kind text, p_body jsonb",
	"requested":  "p_request uuid",
	"answer":     "p_request uuid, p_node text, p_body jsonb",
	"answers":    "p_request uuid",
	"note":       "p_relation text, p_state text, p_thread text, p_seen pg_snapshot, p_again boolean",
}

// signature names one of our functions as statements about it have to.
func signature(schema, name string) string {
	return ident(schema, name) + "(" + arguments[name] + ")"
}

// requestFunctions are what requests and answers go through.
func (t *Target) requestFunctions() []*function {
	path := setting{"search_path", "pg_catalog, pg_temp", "pg_catalog, pg_temp"}
	return []*function{
		{name: "ask", returns: "uuid", body: render("ask", t.common()),
			settings: []setting{path, {"lock_timeout", "'2s'", "2s"}}},
		{name: "requested", returns: "table (kind text, body jsonb, asked_by text)", body: render("requested", t.common()),
			settings: []setting{path}},
		{name: "answer", returns: "boolean", body: render("answer", t.common()), settings: []setting{path}},
		{name: "answers", returns: "table (node text, body jsonb)", body: render("answers", t.common()), settings: []setting{path}},
	}
}
