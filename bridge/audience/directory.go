package audience

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/config"
)

// Querier is what the configured queries run on; *pgxpool.Pool is one.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

const (
	queryTimeout = 5 * time.Second // for each query, waiting for a connection included

	// keepPerson is how long an answer serves further sessions of the user: long enough for the tabs of a browser
	// that come back at once, short enough that a reconnect sees what has changed.
	keepPerson = 2 * time.Second
)

// person is what the queries know of a user. It is shared: never changed after it was made.
type person struct {
	asOf     uint64 // the last change of what the queries read that is in the answer for sure, see memo
	tenanted bool   // the user query has a column for the tenant
	tenant   string
	name     string
	grants   []string
}

// directory asks the database about users.
type directory struct {
	db     Querier
	user   query
	grants query
	limit  time.Duration // of each query
	memo   memo
	faults *faults
}

// query is one of the configured queries; sql may be empty.
type query struct {
	key  string // of the configuration
	sql  string
	most int // columns

	issuer bool // it reads $2, the issuer
}

func newQuery(key, sql string, most int) query {
	return query{key: key, sql: strings.TrimSpace(sql), most: most, issuer: config.ReadsIssuer(sql)}
}

// arguments are the user, and the issuer where the query reads it.
func (q query) arguments(k who) []any {
	if q.issuer {
		return []any{k.user, k.issuer}
	}
	return []any{k.user}
}

func newDirectory(cfg config.Auth, db Querier, f *faults) *directory {
	return &directory{
		db:     db,
		user:   newQuery("auth.user_query", cfg.UserQuery, 2),
		grants: newQuery("auth.grants_query", cfg.GrantsQuery, 1),
		limit:  queryTimeout,
		memo:   memo{keep: keepPerson, flights: map[who]*flight{}, changed: map[string]uint64{}},
		faults: f,
	}
}

// person returns what the database knows of the user, or a *Refusal, or ErrUnavailable.
func (d *directory) person(ctx context.Context, issuer, user string) (*person, error) {
	k := who{issuer, user}
	return d.memo.get(ctx, k, func() (*person, error) { return d.find(d.asking(ctx), k) })
}

// asker runs a query for a user and calls row with each row's columns as text; NULL is nil.
type asker func(q query, k who, row func(columns [][]byte) error) error

// find runs the queries.
func (d *directory) find(ask asker, k who) (*person, error) {
	p := &person{}
	if err := d.findUser(ask, k, p); err != nil {
		return nil, err
	}
	if err := d.findGrants(ask, k, p); err != nil {
		return nil, err
	}
	return p, nil
}

// check runs each query for a user that need not exist: being refused is as good as being found.
func (d *directory) check(ctx context.Context) error {
	for _, find := range []func(asker, who, *person) error{d.findUser, d.findGrants} {
		err := find(d.asking(ctx), who{user: "0"}, &person{})
		if _, refused := errors.AsType[*Refusal](err); err != nil && !refused {
			return err
		}
	}
	return nil
}

// findGrants runs the grants query.
func (d *directory) findGrants(ask asker, k who, p *person) error {
	if d.grants.sql == "" {
		return nil
	}
	return ask(d.grants, k, func(row [][]byte) error {
		grant := string(row[0])
		switch {
		case grant == "":
			return nil
		case clean(grant) != nil:
			d.faults.note("grants_query", d.grants.key, "a grant has control characters or is too long: it is left out")
			return nil
		case len(p.grants) == maxGrants:
			return refuse("too many grants")
		}
		p.grants = append(p.grants, grant)
		return nil
	})
}

// findUser runs the user query: tenant and name, or only the name in an installation without tenants.
func (d *directory) findUser(ask asker, k who, p *person) error {
	if d.user.sql == "" {
		return nil
	}
	rows := 0
	err := ask(d.user, k, func(row [][]byte) error {
		if rows++; rows > 1 {
			return fmt.Errorf("%w: %s: more than one row for a user: make it return one", ErrUnavailable, d.user.key)
		}
		p.name = displayName(string(row[len(row)-1]))
		if p.tenanted = len(row) == 2; p.tenanted {
			p.tenant = string(row[0])
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case rows == 0:
		return refuse("user not active")
	case clean(p.tenant) != nil:
		d.faults.note("user_query", d.user.key, "a tenant has control characters or is too long: its user is refused")
		return refuse("tenant of user not usable")
	}
	return nil
}

// asking returns what asks one query after the other. Each outlives ctx, which is that of the one of several who came
// first; and a query cut short would cost the pool its connection.
func (d *directory) asking(ctx context.Context) asker {
	return func(q query, k who, row func([][]byte) error) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.limit)
		defer cancel()
		return d.ask(ctx, q, k, row)
	}
}

// ask runs a query by itself.
func (d *directory) ask(ctx context.Context, q query, k who, row func(columns [][]byte) error) error {
	args := append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, q.arguments(k)...)
	rows, err := d.db.Query(ctx, q.sql, args...)
	if err != nil {
		return d.blame(q, err)
	}
	defer rows.Close()
	columns := len(rows.FieldDescriptions()) // once all is read the connection is another's, and with it what describes them
	for rows.Next() {
		if err := q.checkColumns(len(rows.RawValues())); err != nil {
			return err
		}
		if err := row(rows.RawValues()); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return d.blame(q, err)
	}
	return q.checkColumns(columns)
}

func (q query) checkColumns(n int) error {
	if n < 1 || n > q.most {
		return fmt.Errorf("%w: %s: returns %d columns: make it return %d", ErrUnavailable, q.key, n, q.most)
	}
	return nil
}

// blame says whose fault a failed query is. Class 22, data exception (PostgreSQL manual, appendix A), is that of the
// value: a user that is no number where the query casts it to one.
func (d *directory) blame(q query, err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, q.key, err)
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "22":
		d.faults.note("user_value", q.key, "a query refuses a user's value", zap.String("sqlstate", pg.Code))
		return refuse("user not accepted")
	case "P0": // raised by somebody's function, with whatever it says
		return fmt.Errorf("%w: %s: raises an exception (SQLSTATE %s)", ErrUnavailable, q.key, pg.Code)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, q.key, err)
}
