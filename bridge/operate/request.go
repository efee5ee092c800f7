package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
)

// The kinds of requests that nodes answer.
const (
	KindKick    = "kick"
	KindExplain = "explain"
)

// Kick is the body of a request to close sessions: those of a user, of every issuer and tenant unless they are given, or
// one by its id.
type Kick struct {
	User    string  `json:"user,omitempty"`
	Issuer  *string `json:"issuer,omitempty"`
	Tenant  *string `json:"tenant,omitempty"`
	Session string  `json:"session,omitempty"`
}

// Check says what is wrong with it.
func (k *Kick) Check() error {
	switch {
	case k.User == "" && k.Session == "":
		return errors.New("kick: name the user, or the session by its id")
	case k.User != "" && k.Session != "":
		return errors.New("kick: name the user or the session, not both")
	case k.Session != "" && (k.Issuer != nil || k.Tenant != nil):
		return errors.New("kick: issuer and tenant go with a user")
	}
	return nil
}

// Kicked is what a node answers to it.
type Kicked struct {
	Sessions int `json:"sessions"`
}

// Failed is what a node answers where it could not do what was asked.
type Failed struct {
	Error string `json:"error"`
}

// Reply is what one node answered.
type Reply struct {
	Node string          `json:"node"`
	Body json.RawMessage `json:"body"`
}

// Requests counts what operators asked of this node, by kind and result: answered, failed (it could not be done, and they
// were told), dropped (too much was asked at a time). It is called once.
func (m *Metrics) Requests() *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rowfeed_operator_requests_total", Help: "What operators asked of this node, by kind and result: answered, failed, dropped.",
	}, []string{"kind", "result"})
	m.registry.MustRegister(c)
	return c
}

// Replies are what came back: of the nodes that run, those that have answered and those that have not.
type Replies struct {
	Replies []Reply  `json:"replies"`
	Silent  []string `json:"silent,omitempty"`
}

const (
	answerTime = 12 * time.Second // that nodes have to answer
	answerPoll = 30 * time.Millisecond
	leaveTime  = time.Second // between looks at who is still there
)

// nodePrefix begins the application_name of a node's connections to the control channel; its id and rowfeed's schema
// follow.
const nodePrefix = "rowfeed .control "

// NodeName is the application_name by which a node is counted.
func NodeName(node, schema string) string { return nodePrefix + node + " " + schema }

// maxName is how many bytes of an application_name PostgreSQL keeps.
const maxName = 63

// Nodes returns the ids of the nodes that are connected to the database. Others than those who may answer are not
// counted: anybody can call a connection anything.
func Nodes(ctx context.Context, conn *pgx.Conn, schema string) ([]string, error) {
	rows, err := conn.Query(ctx, `select distinct a.application_name from pg_catalog.pg_stat_activity a
		join pg_catalog.pg_namespace n on n.nspname = $1
		join pg_catalog.pg_proc p on p.pronamespace = n.oid and p.proname = 'answer'
		where a.datname = pg_catalog.current_database() and a.application_name like $2 || '%'
		and pg_catalog.has_function_privilege(a.usesysid, p.oid, 'execute')`, schema, nodePrefix)
	if err != nil {
		return nil, fmt.Errorf("look for bridges: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for bridges: %w", err)
	}
	var nodes []string
	for _, name := range names {
		node, of, _ := strings.Cut(strings.TrimPrefix(name, nodePrefix), " ")
		if full := NodeName(node, schema); of == schema || len(full) > maxName && name == full[:len(name)] {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return nodes, nil
}

// Ask puts a request to every node that is connected to the database and returns what each has answered, in 12 seconds at
// the most. Where there is no node it asks nobody, and the Replies are empty.
func Ask(ctx context.Context, conn *pgx.Conn, schema, kind string, body any) (*Replies, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	nodes, err := Nodes(ctx, conn, schema)
	if err != nil || len(nodes) == 0 {
		return &Replies{}, err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	s := pgx.Identifier{schema}.Sanitize()
	var id string
	if err := conn.QueryRow(ctx, "select "+s+".ask($1, $2::text::jsonb)::text", kind, string(text)).Scan(&id); err != nil {
		return nil, askError(err, schema, conn.Config().User)
	}
	return await(ctx, conn, schema, id, nodes)
}

// await polls for the answers of the nodes to a request. Nodes that leave meanwhile are not waited for.
func await(ctx context.Context, conn *pgx.Conn, schema, id string, nodes []string) (*Replies, error) {
	tick := time.NewTicker(answerPoll)
	defer tick.Stop()
	for looked := time.Now(); ; {
		list, err := poll(ctx, conn, schema, id)
		if err != nil {
			return nil, fmt.Errorf("read answers: %w", err)
		}
		silent := slices.DeleteFunc(slices.Clone(nodes), func(node string) bool {
			return slices.ContainsFunc(list, func(r Reply) bool { return r.Node == node })
		})
		if len(silent) == 0 {
			return &Replies{Replies: list}, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return &Replies{list, silent}, nil
		}
		if time.Since(looked) < leaveTime {
			continue
		}
		looked = time.Now()
		there, err := Nodes(context.WithoutCancel(ctx), conn, schema)
		if err != nil {
			return nil, err
		}
		nodes = slices.DeleteFunc(nodes, func(node string) bool { return !slices.Contains(there, node) })
	}
}

// poll reads the answers that are there. One that were cut short would take the connection with it, so it has a limit of
// its own.
func poll(ctx context.Context, conn *pgx.Conn, schema, id string) ([]Reply, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	rows, err := conn.Query(ctx, "select node, body::text from "+pgx.Identifier{schema}.Sanitize()+".answers($1::text::uuid)", id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Reply, err error) {
		var text string
		err = row.Scan(&r.Node, &text)
		r.Body = json.RawMessage(text)
		return r, err
	})
}

// SQLSTATEs: PostgreSQL manual, appendix A.
const (
	noPrivilege = "42501"
	noFunction  = "42883"
	noSchema    = "3F000"
)

// askError says what to do about a request that the database refuses.
func askError(err error, schema, user string) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case noPrivilege:
			return fmt.Errorf("ask the bridges: role %s may not: as a superuser: grant %s_operator to %s;", user, schema,
				pgx.Identifier{user}.Sanitize())
		case noFunction, noSchema:
			return fmt.Errorf("ask the bridges: schema %s was installed by an older rowfeed: run `rowfeed migrate up`", schema)
		}
		return fmt.Errorf("ask the bridges: %s", pg.Message)
	}
	return fmt.Errorf("ask the bridges: %w", err)
}
