package bridge

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"nalar.internal/rowfeed/bridge/change"
)

//go:embed queries/preflight.sql
var preflightSQL string

// preflight connects once, as the feeds will, and says in one line what would keep the bridge from working.
func (b *Bridge) preflight(ctx context.Context) error {
	conn, err := b.dedicated("rowfeed")(ctx)
	if err != nil {
		return b.explainConnect(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := change.CheckServer(conn.PgConn().ParameterStatus("server_version")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	schema := b.cfg.Database.Schema
	var standby, installed, readable, current, callable bool
	err = conn.QueryRow(ctx, preflightSQL, schema).Scan(&standby, &installed, &readable, &current, &callable)
	switch {
	case err != nil:
		return fmt.Errorf("inspect the database: %w", err)
	case standby:
		return errors.New("the server at database.url is a standby, where nothing can be listened to: name the primary, " +
			"or all hosts, separated by commas")
	case !installed:
		return fmt.Errorf("schema %s is not installed in database %s: run `rowfeed migrate up`", schema, b.db.Database)
	case !current:
		return fmt.Errorf("schema %s was installed by an older rowfeed: run `rowfeed migrate up`", schema)
	case !readable || !callable:
		return fmt.Errorf("role %s may not read schema %s: run `rowfeed migrate up` with this database.url and an admin_url "+
			"that may grant", b.db.User, schema)
	}
	return b.drift.check(ctx, conn)
}

// explainConnect says in one line why there is no connection, and what to do.
func (b *Bridge) explainConnect(err error) error {
	const verb = "connect to the database: %s: "
	reasons := strings.Join(reasonsOf(err), "; ")
	switch {
	case strings.Contains(reasons, `unrecognized configuration parameter "idle_session_timeout"`): // new in 14
		return fmt.Errorf("the server at database.url is too old: rowfeed needs %d or newer", change.OldestServer)
	case strings.Contains(reasons, "unsupported startup parameter"):
		return fmt.Errorf(verb+"that is a pooler such as PgBouncer, through which nothing can be listened to: name the server "+
			"itself in database.url", reasons)
	case errors.Is(err, pgconn.ErrStandbyConnection):
		return fmt.Errorf(verb+"none of the hosts in database.url is a primary that answers: promote a standby, or start the "+
			"primary", reasons)
	}
	return fmt.Errorf(verb+"check database.url, and that PostgreSQL runs and lets this host in", reasons)
}

// reasonsOf lists, once each, what pgx says of the addresses that it tried.
func reasonsOf(err error) []string {
	var ce *pgconn.ConnectError
	if !errors.As(err, &ce) {
		return []string{err.Error()}
	}
	all := []error{errors.Unwrap(ce)}
	if many, ok := errors.Unwrap(ce).(interface{ Unwrap() []error }); ok {
		all = many.Unwrap()
	}
	var list []string
	for _, e := range all {
		text := strings.Join(strings.Fields(e.Error()), " ")
		if pg := new(pgconn.PgError); len(all) == 1 && errors.As(e, &pg) {
			text = pg.Message
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}
