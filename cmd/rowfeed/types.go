package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/schema"
)

const typesLong = `types writes what a frontend is sent, from the configuration and the database's own column types: as a .d.ts
for the client package, or with --asyncapi as an AsyncAPI 3.0 document for everybody else.

It connects as database.admin_url says, else database.url, and reads catalogs only; nothing needs to be
installed. The same configuration and tables give the same text, so the file can be checked in; --check
tells whether it is current, and exits with 2 where it is not.`

const typesExample = `  rowfeed types --out src/rowfeed.d.ts
  rowfeed types --out src/rowfeed.d.ts --check
  rowfeed types --asyncapi --out rowfeed.asyncapi.yaml`

// outOfDate is the exit code of `types --check` when the file is not what would be written.
const outOfDate exitCode = 2

// newTypesCommand makes `rowfeed types`.
func newTypesCommand(env *environment) *cobra.Command {
	var o typesOptions
	cmd := &cobra.Command{
		Use:     "types",
		Short:   "Write the types of all events for the frontend",
		Long:    typesLong,
		Example: typesExample,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return env.types(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "-", "the `file` to write; - is stdout")
	f.BoolVar(&o.check, "check", false, "write nothing; exit with 2 where --out is not what would be written")
	f.BoolVar(&o.asyncAPI, "asyncapi", false, "write an AsyncAPI 3.0 document (YAML) instead of TypeScript")
	return cmd
}

type typesOptions struct {
	out             string
	check, asyncAPI bool
}

func (e *environment) types(ctx context.Context, o typesOptions) error {
	toStdout := o.out == "-" || o.out == ""
	if o.check && toStdout {
		return errors.New("--check wants a file to compare with: name it with --out")
	}
	sections := []string{"database", "channels"}
	if o.asyncAPI {
		sections = append(sections, "server")
	}
	cfg, err := e.config(sections...)
	if err != nil {
		return err
	}
	if _, problems := rule.Compile(cfg); len(problems) > 0 {
		return cfg.Locate(problems)
	}
	var text string
	err = e.withDatabase(ctx, cfg.Database, func(conn *pgx.Conn) error {
		s, err := schema.Read(ctx, conn, cfg)
		if err != nil {
			return err
		}
		if o.asyncAPI {
			text, err = s.AsyncAPI(cfg)
			return err
		}
		text = s.TypeScript()
		return nil
	})
	switch {
	case err != nil:
		return err
	case toStdout:
		_, err := fmt.Fprint(e.stdout, text)
		return err
	}
	return e.writeTypes(o, []byte(text))
}

// writeTypes writes the file, or says that it is not current. A file that is right already is left alone, so that what
// watches it does not stir.
func (e *environment) writeTypes(o typesOptions, text []byte) error {
	old, err := os.ReadFile(o.out)
	switch {
	case err == nil && bytes.Equal(old, text):
		return nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("read types: %w", err)
	case o.check:
		fmt.Fprintf(e.stderr, "rowfeed: %s is not current: run rowfeed types again, without --check, and commit it\n", oneLine(o.out))
		return outOfDate
	}
	if err := os.WriteFile(o.out, text, 0o644); err != nil { //nolint:gosec // as other source code
		return fmt.Errorf("write types: %w", err)
	}
	return nil
}
