package bridge

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed queries/preflight.sql
var preflightSQL string

// preflight connects once and says in one line what would keep the bridge from working.
func (b *Bridge) preflight(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, b.db)
	if err != nil {
		return fmt.Errorf("connect to the database: %w: check database.url, and that PostgreSQL runs and lets this host in",
			oneLine(err))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	schema := b.cfg.Database.Schema
	var standby, installed, readable, tickable bool
	err = conn.QueryRow(ctx, preflightSQL, schema).Scan(&standby, &installed, &readable, &tickable)
	switch {
	case err != nil:
		return fmt.Errorf("inspect the database: %w", err)
	case standby:
		return errors.New("the server at database.url is a standby, where nothing can be listened to: name the primary, " +
			"or all hosts with target_session_attrs=read-write")
	case !installed:
		return fmt.Errorf("schema %s is not installed in database %s: run `rowfeed migrate up`", schema, b.db.Database)
	case !readable || !tickable:
		return fmt.Errorf("role %s may not read schema %s: run `rowfeed migrate up` with this database.url and an admin_url "+
			"that may grant", b.db.User, schema)
	}
	if b.Check != nil {
		return b.Check(ctx, conn)
	}
	return nil
}

// oneLine takes the first of the reasons that pgx lists for each address that it tried.
func oneLine(err error) error {
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) {
		if pg := new(pgconn.PgError); errors.As(err, &pg) {
			return errors.New(pg.Message)
		}
		for inner := errors.Unwrap(ce); inner != nil; {
			if many, ok := inner.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) > 0 {
				inner = many.Unwrap()[0]
				continue
			}
			return inner
		}
	}
	return err
}

// openPool opens the pool for what is no feed: identity queries, ticks.
func (b *Bridge) openPool(ctx context.Context) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(b.cfg.Database.URL)
	if err != nil {
		return nil, fmt.Errorf("read database.url: %w", err)
	}
	c.ConnConfig.RuntimeParams["application_name"] = "rowfeed"
	c.ConnConfig.RuntimeParams["client_encoding"] = "UTF8"
	c.ConnConfig.ConnectTimeout = connectTimeout
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	return pool, nil
}
