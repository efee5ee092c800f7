package source

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed queries/adopted.sql
	adoptedSQL string
	//go:embed queries/opened.sql
	openedSQL string
)

const (
	// adoptions bounds how many ticks a connection writes until the outbox is of the server's history: each deletes 100,000
	// rows of those that are in the way.
	adoptions = 10_000
	// openings bounds how often it asks for captures to go on: that takes four steps, and another node may be at it.
	openings = 20
)

// adopt has ticks take the outbox over where the server is of another history than its rows (a failover, a restore, a
// copy), and captures go on where no bridge has run for so long that they stopped. So before the feed finds its place what
// is gone is known, and is not the news of another gap.
func adopt(ctx context.Context, conn *pgx.Conn, schema string) error {
	adopted, err := repeat(ctx, conn, adoptions, render(adoptedSQL, schema), "select "+pgx.Identifier{schema}.Sanitize()+".tick()")
	if err == nil && !adopted {
		err = errors.New("the outbox is of another server's history, and can't be emptied of it")
	}
	if err != nil {
		return err
	}
	// Where somebody holds the installation the bridge goes on trying, and a gap will be told then.
	_, err = repeat(ctx, conn, openings, render(openedSQL, schema), "")
	return err
}

// repeat asks until the answer is true, with a statement in between if there is one. Where there is no installation, which
// is said elsewhere, it is content.
func repeat(ctx context.Context, conn *pgx.Conn, n int, question, statement string) (done bool, err error) {
	for range n {
		err := conn.QueryRow(ctx, question).Scan(&done)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return true, nil
		case err != nil:
			return false, fmt.Errorf("read installation: %w", err)
		case done:
			return true, nil
		case statement == "":
			continue
		}
		if _, err := conn.Exec(ctx, statement); err != nil {
			return false, fmt.Errorf("write tick: %w", err)
		}
	}
	return false, nil
}
