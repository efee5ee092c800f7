package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// eachReply hands each node's answer to f; what a node could not do, or that it did not answer, comes back as an error
// that ends in what to do.
func eachReply[T any](replies *operate.Replies, then string, f func(node string, body *T) error) error {
	var errs []error
	for _, r := range replies.Replies {
		var failed operate.Failed
		if json.Unmarshal(r.Body, &failed) == nil && failed.Error != "" {
			errs = append(errs, fmt.Errorf("node %s: %s", printable(r.Node), printable(failed.Error)))
			continue
		}
		var body T
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return fmt.Errorf("read answer of node %s: %w", r.Node, err)
		}
		if err := f(r.Node, &body); err != nil {
			return err
		}
	}
	for _, node := range replies.Silent {
		errs = append(errs, fmt.Errorf("node %s did not answer: see its log and readyz%s", printable(node), then))
	}
	return errors.Join(errs...)
}
