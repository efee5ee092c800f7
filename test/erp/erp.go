// Package erp is a sample Nalar ERP: its tables as Django makes them, some thousand rows of data, rowfeed's
// configuration for it, and a workload that writes to it as people at work do.
package erp

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Config is rowfeed's configuration for the sample ERP, as YAML. The secret of the tokens is not in it: set
// ROWFEED_AUTH_JWT_SECRET.
//
//go:embed rowfeed.yaml
var Config []byte

// Role is the role that the ERP's application connects as. It reads and writes all rows and owns no table.
const Role = "erp"

var (
	//go:embed schema.sql
	schemaSQL string
	//go:embed constraints.sql
	constraintsSQL string
	//go:embed role.sql
	roleSQL string
	//go:embed people.sql
	peopleSQL string
	//go:embed grant.sql
	grantSQL string
)

// Install makes the tables, the application's role and the data in an empty database, all or nothing. The data is the
// same each time, but for its dates, which end today.
func Install(ctx context.Context, conn *pgx.Conn) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, sql := range []string{schemaSQL, constraintsSQL, roleSQL} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return load(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("install sample ERP: %w", err)
	}
	if _, err := conn.Exec(ctx, "analyze"); err != nil {
		return fmt.Errorf("analyze sample ERP: %w", err)
	}
	return nil
}

// GrantQueries lets a role read what Config's queries read, and no more: no password, no other table.
func GrantQueries(ctx context.Context, conn *pgx.Conn, role string) error {
	sql := fmt.Sprintf(grantSQL, pgx.Identifier{role}.Sanitize())
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("grant queries of sample ERP to %s: %w", role, err)
	}
	return nil
}
