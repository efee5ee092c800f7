package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/triggers"
)

const statusLong = `status changes nothing. It compares triggers, functions, columns, partitions, owners and rights with
the configuration. --format json is for machines (docs/DBA.md has the form). The exit code is 2 when
anything is not as it should be, else 0.`

// newStatusCommand makes `rowfeed migrate status`.
func newStatusCommand(env *environment) *cobra.Command {
	var format string
	cmd := newMigrateVerb(env, "status", "Compare the database with the configuration, table by table", statusLong,
		func(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target) error {
			return migrateStatus(ctx, env, conn, target, format)
		})
	formatFlag(cmd, &format, "text", "json")
	return cmd
}

// formatFlag adds --format, the first of the known ones being the default.
func formatFlag(cmd *cobra.Command, format *string, known ...string) {
	cmd.Flags().StringVar(format, "format", known[0], "print as `"+strings.Join(known, "|")+"`")
}

func knownFormat(format string, known ...string) error {
	if slices.Contains(known, format) {
		return nil
	}
	return fmt.Errorf("unknown format %q: write one of %s", format, strings.Join(known, ", "))
}

func migrateStatus(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target, format string) error {
	if err := knownFormat(format, "text", "json"); err != nil {
		return err
	}
	state, err := inspect(ctx, conn, target)
	if err != nil {
		return err
	}
	r := newStatusReport(state)
	if format == "json" {
		err = writeJSON(env.stdout, r)
	} else {
		err = whole(env.stdout, func(w io.Writer) { r.text(w, colours(env.stdout)) })
	}
	if err == nil && !r.Clean {
		return somethingToDo
	}
	return err
}

// statusReport is what `migrate status --format json` prints: docs/DBA.md.
type statusReport struct {
	Server   triggers.Server        `json:"server"`
	Schema   string                 `json:"schema"`
	Clean    bool                   `json:"clean"`    // nothing is to be done
	Tables   []triggers.TableStatus `json:"tables"`   // by the configuration's order, then those that it does not name
	Problems []string               `json:"problems"` // beside the tables: schema, functions, channels, roles, rights
}

func newStatusReport(state *triggers.State) statusReport {
	r := statusReport{Server: state.Server(), Schema: state.Schema(), Tables: state.Status(), Problems: list(state.Off())}
	if r.Tables == nil {
		r.Tables = []triggers.TableStatus{}
	}
	r.Clean = state.Clean() && len(r.Problems) == 0
	return r
}

// whole prints a text in one piece, or says why not: a plan that ends half-way is none.
func whole(w io.Writer, print func(io.Writer)) error {
	var b bytes.Buffer
	print(&b)
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

// The colours of a terminal, by what is good and what is not; all of one length, so that columns stay aligned.
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	normal = "\x1b[0m"
)

// colours tells whether the output is a terminal that wants colours (no-color.org).
func colours(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// text prints the status as a table.
func (r *statusReport) text(w io.Writer, coloured bool) {
	fmt.Fprintln(w, oneLine(fmt.Sprintf("%s, schema %s", r.Server, r.Schema)))
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range r.Tables {
		state := t.State
		if coloured {
			colour := map[string]string{triggers.Installed: green, triggers.Outdated: yellow, triggers.Unwanted: yellow}[state]
			if colour == "" {
				colour = red
			}
			state = colour + state + normal
		}
		first, rest := "", []string(nil)
		if len(t.Problems) > 0 {
			first, rest = t.Problems[0], t.Problems[1:]
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\n", state, oneLine(t.Table), oneLine(first))
		for _, p := range rest {
			blank := ""
			if coloured {
				blank = green + normal
			}
			fmt.Fprintf(tab, "%s\t\t%s\n", blank, oneLine(p))
		}
	}
	_ = tab.Flush() // into memory
	for _, line := range r.Problems {
		fmt.Fprintln(w, oneLine(line))
	}
	if !r.Clean {
		fmt.Fprintln(w, "run `rowfeed migrate plan` to see what would make it right")
	}
}
