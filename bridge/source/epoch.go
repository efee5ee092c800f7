package source

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed queries/adopted.sql
var adoptedSQL string

// adoptions bounds how many ticks a connection writes until the outbox is of the server's history: each deletes 100,000
// rows of those that are in the way.
const adoptions = 10_000

// adopt has ticks take the outbox over where the server is of another history than its rows (a failover, a restore, a
// copy), before the feed finds its place: the horizon that they set is known then, and not the news of another gap.
func adopt(ctx context.Context, conn *pgx.Conn, schema string) error {
	for range adoptions {
		var done bool
		err := conn.QueryRow(ctx, render(adoptedSQL, schema)).Scan(&done)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil // there is no installation, which is said elsewhere
		case err != nil:
			return fmt.Errorf("read installation: %w", err)
		case done:
			return nil
		}
		if _, err := conn.Exec(ctx, "select "+pgx.Identifier{schema}.Sanitize()+".tick()"); err != nil {
			return fmt.Errorf("write tick: %w", err)
		}
	}
	return errors.New("the outbox is of another server's history, and can't be emptied of it")
}
