package triggers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

var errPooled = errors.New("there is a pooler that gives each transaction another session of the server (pool_mode = " +
	"transaction or statement): name the server itself in database.admin_url")

// Pooled returns an error where a pooler in between gives transactions to any session of the server: session locks and
// settings would be somebody else's then. Whether there is a pooler at all shows in the process id that the connection
// was told (PostgreSQL manual, 55.7, BackendKeyData): a pooler tells one of its own. Whether it keeps the session for
// us is tried with a second connection.
func Pooled(ctx context.Context, conn *pgx.Conn) error {
	pid, err := backend(ctx, conn)
	if err != nil || pid == conn.PgConn().PID() {
		return err
	}
	config := conn.Config().Copy()
	second, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("look for a pooler: %w: name the server itself in database.admin_url", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = second.Close(ctx)
	}()
	// The first connection is at rest: a pooler that lends its session gives the second one just that, or gives the first
	// one another while the second holds it.
	err = pgx.BeginFunc(ctx, second, func(tx pgx.Tx) error {
		var other, again uint32
		if err := tx.QueryRow(ctx, "select pg_catalog.pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&other); err != nil {
			return err
		}
		if other == pid {
			return errPooled
		}
		if again, err = backend(ctx, conn); err == nil && again != pid {
			return errPooled
		}
		return err
	})
	if err != nil && !errors.Is(err, errPooled) {
		return fmt.Errorf("look for a pooler: %w", err)
	}
	return err
}

// backend returns the process id of the session that a statement of the connection runs in.
func backend(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	err = conn.QueryRow(ctx, "select pg_catalog.pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	if err != nil {
		return 0, fmt.Errorf("ask for the backend: %w", err)
	}
	return pid, nil
}
