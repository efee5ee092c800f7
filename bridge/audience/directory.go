package audience

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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
	tenanted bool // the user query has a column for the tenant
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
	log    *zap.Logger

	unclean sync.Once
}

// query is one of the configured queries; sql may be empty.
type query struct {
	key  string // of the configuration
	sql  string
	most int // columns
}

func newDirectory(cfg config.Auth, db Querier, log *zap.Logger) *directory {
	return &directory{
		db:     db,
		user:   query{"auth.user_query", strings.TrimSpace(cfg.UserQuery), 2},
		grants: query{"auth.grants_query", strings.TrimSpace(cfg.GrantsQuery), 1},
		limit:  queryTimeout,
		memo:   memo{keep: keepPerson, flights: map[who]*flight{}},
		log:    log,
	}
}

// person returns what the database knows of the user, or a *Refusal, or ErrUnavailable.
func (d *directory) person(ctx context.Context, issuer, user string) (*person, error) {
	return d.memo.get(ctx, who{issuer, user}, func() (*person, error) { return d.find(ctx, user) })
}

// find runs the queries.
func (d *directory) find(ctx context.Context, user string) (*person, error) {
	p := &person{}
	if err := d.findUser(ctx, user, p); err != nil {
		return nil, err
	}
	if err := d.findGrants(ctx, user, p); err != nil {
		return nil, err
	}
	return p, nil
}

// check runs each query for a user that need not exist: being refused is as good as being found.
func (d *directory) check(ctx context.Context) error {
	for _, find := range []func(context.Context, string, *person) error{d.findUser, d.findGrants} {
		err := find(ctx, "0", &person{})
		if _, refused := errors.AsType[*Refusal](err); err != nil && !refused {
			return err
		}
	}
	return nil
}

// findGrants runs the grants query.
func (d *directory) findGrants(ctx context.Context, user string, p *person) error {
	if d.grants.sql == "" {
		return nil
	}
	return d.ask(ctx, d.grants, user, func(row [][]byte) error {
		grant := string(row[0])
		switch {
		case grant == "":
			return nil
		case clean(grant) != nil:
			d.unclean.Do(func() {
				d.log.Warn("a grant of auth.grants_query has control characters or is too long; it is left out")
			})
			return nil
		case len(p.grants) == maxGrants:
			return refuse("too many grants")
		}
		p.grants = append(p.grants, grant)
		return nil
	})
}

// findUser runs the user query: tenant and name, or only the name in an installation without tenants.
func (d *directory) findUser(ctx context.Context, user string, p *person) error {
	if d.user.sql == "" {
		return nil
	}
	rows := 0
	err := d.ask(ctx, d.user, user, func(row [][]byte) error {
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
		return refuse("tenant of user not usable")
	}
	return nil
}

// ask runs a query for a user and calls row with each row's columns as text; NULL is nil. It outlives ctx, which is
// that of the one of several who came first; and a query cut short would cost the pool its connection.
func (d *directory) ask(ctx context.Context, q query, user string, row func(columns [][]byte) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.limit)
	defer cancel()
	rows, err := d.db.Query(ctx, q.sql, pgx.QueryResultFormats{pgx.TextFormatCode}, user)
	if err != nil {
		return d.blame(q, err)
	}
	defer rows.Close()
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
	return q.checkColumns(len(rows.FieldDescriptions()))
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
		d.log.Warn("a query refuses a user's value", zap.String("query", q.key), zap.String("sqlstate", pg.Code))
		return refuse("user not accepted")
	case "P0": // raised by somebody's function, with whatever it says
		return fmt.Errorf("%w: %s: raises an exception (SQLSTATE %s)", ErrUnavailable, q.key, pg.Code)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, q.key, err)
}
