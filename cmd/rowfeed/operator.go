package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"

	"nalar.internal/rowfeed/bridge/operate"
	"nalar.internal/rowfeed/config"
)

// errNoBridge is for verbs that need one.
var errNoBridge = errors.New("no bridge is connected to this database: is `rowfeed serve` running, and does it use the " +
	"same database and database.schema?")

// withDatabase runs f with a connection as the one who operates.
func (e *environment) withDatabase(ctx context.Context, db config.Database, f func(*pgx.Conn) error) error {
	conn, err := connectAdmin(ctx, db)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = conn.Close(ctx) // nothing is left to lose
	}()
	return f(conn)
}

// whom are the flags that say which user is meant.
type whom struct{ user, issuer, tenant string }

func (w *whom) flags(f *pflag.FlagSet) {
	f.StringVar(&w.user, "user", "", "the `user`, as tokens name it")
	f.StringVar(&w.issuer, "issuer", "", "only of this `issuer` of tokens (default any)")
	f.StringVar(&w.tenant, "tenant", "", "only of this `tenant` (default any)")
}

// given returns a flag's value; nil where it was not given.
func given(f *pflag.FlagSet, name, value string) *string {
	if !f.Changed(name) {
		return nil
	}
	return &value
}

// failed returns what a node could not do.
func failed(r operate.Reply, decode func([]byte, any) error) string {
	var f operate.Failed
	if decode(r.Body, &f) == nil {
		return f.Error
	}
	return ""
}
