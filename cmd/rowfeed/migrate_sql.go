package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/triggers"
)

const sqlLong = `sql writes what up would do as migration files into --out, for teams that run their own: 0001_rowfeed_install.up.sql
and .down.sql, then a pair for each table, each for one transaction (psql -1 -f). Nothing is changed in
the database; the files check, before they do anything, that it still is what they were made for.

A later run adds only what has changed since, under the next numbers; files that are there and have not
been run yet are left as they are.

--django APP writes migrations of that Django app instead, into its folder of migrations. The first
depends on the app's newest one, or on what --depends names.`

// filesFlags are those of `migrate sql`.
type filesFlags struct{ out, app, depends string }

// newSQLCommand makes `rowfeed migrate sql`.
func newSQLCommand(env *environment) *cobra.Command {
	var flags filesFlags
	cmd := newMigrateVerb(env, "sql", "Write what up would do as files for other migration tools", sqlLong,
		func(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target) error {
			return migrateSQL(ctx, env, conn, target, flags)
		})
	cmd.Flags().StringVar(&flags.out, "out", "", "the `folder` that the files go to")
	cmd.Flags().StringVar(&flags.app, "django", "", "write migrations of this Django `app`")
	cmd.Flags().StringVar(&flags.depends, "depends", "", "with --django: the `migration` that the first depends on: 0042_invoices, or "+
		"app.0042_invoices")
	return cmd
}

// migrationFile is a file of a folder of migrations.
type migrationFile struct {
	name   string
	number int
	digest string // empty: not one of ours
	text   string
}

// fileForm is how migrations are written: plain files or Django's.
type fileForm interface {
	// pattern finds migrations among the folder's files; its first group is the number.
	pattern() *regexp.Regexp
	// write returns the files of a script, by name. previous is the name of the migration before; first: of this run.
	write(number int, s triggers.Script, previous string, first bool) (files map[string]string, name string)
}

func migrateSQL(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target, flags filesFlags) error {
	var form fileForm = plainFiles{}
	switch {
	case flags.out == "":
		return errors.New("name the folder for the files with --out")
	case flags.app == "" && flags.depends != "":
		return errors.New("--depends is for --django")
	case flags.app != "":
		form = djangoFiles{flags.app, flags.depends}
	}
	if !moduleName.MatchString(flags.app) {
		return fmt.Errorf("--django %s: not the label of an app: write it as in INSTALLED_APPS, without dots", oneLine(flags.app))
	}
	state, err := inspect(ctx, conn, target)
	if err != nil {
		return err
	}
	scripts, err := triggers.Scripts(ctx, conn, state)
	if err != nil {
		return err
	}
	there, err := migrationsIn(flags.out, form.pattern())
	if err != nil {
		return err
	}
	scripts, err = unwritten(env, scripts, there, state)
	if err != nil {
		return err
	}
	if len(scripts) == 0 {
		_, err := fmt.Fprintln(env.stdout, "nothing to write")
		return err
	}
	return writeScripts(env, flags.out, form, scripts, there)
}

// migrationsIn lists the migrations of a folder, by number and name.
func migrationsIn(dir string, pattern *regexp.Regexp) ([]migrationFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read folder of migrations: %w", err)
	}
	var list []migrationFile
	for _, entry := range entries { // sorted by name
		m := pattern.FindStringSubmatch(entry.Name())
		if m == nil {
			continue
		}
		number, err := strconv.Atoi(m[1])
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name())) //nolint:gosec // a file of the folder that the user names
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		list = append(list, migrationFile{entry.Name(), number, triggers.Digest(string(text)), string(text)})
	}
	slices.SortStableFunc(list, func(a, b migrationFile) int { return a.number - b.number })
	return list, nil
}

// unwritten leaves out the scripts whose files are there, as the newest of ours, and wait to be run. A file that waits but
// fits no more is an error: what comes after it can't be known.
func unwritten(env *environment, scripts []triggers.Script, there []migrationFile, state *triggers.State) ([]triggers.Script, error) {
	waiting := map[string]bool{}
	for _, f := range slices.Backward(there) {
		if f.digest == "" {
			continue
		}
		if !slices.ContainsFunc(scripts, func(s triggers.Script) bool { return triggers.Digest(s.Up) == f.digest }) {
			break
		}
		waiting[f.digest] = true
		fmt.Fprintf(env.stdout, "%s is there already and has not been run\n", oneLine(f.name))
	}
	for _, f := range there {
		if f.digest != "" && !waiting[f.digest] && !state.Ran(f.text) {
			return nil, fmt.Errorf("%s has not been run in this database, and the configuration or the table has changed since: "+
				"run it first, or delete it and what comes after it", oneLine(f.name))
		}
	}
	return slices.DeleteFunc(scripts, func(s triggers.Script) bool { return waiting[triggers.Digest(s.Up)] }), nil
}

func writeScripts(env *environment, dir string, form fileForm, scripts []triggers.Script, there []migrationFile) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // as other folders of source code
		return fmt.Errorf("make folder: %w", err)
	}
	number, previous := 0, ""
	if n := len(there); n > 0 {
		number, previous = there[n-1].number, there[n-1].name
	}
	for i, s := range scripts {
		number++
		files, name := form.write(number, s, previous, i == 0)
		previous = name
		for _, file := range sortedNames(files) {
			path := filepath.Join(dir, file)
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // as other source code
			if err != nil {
				return fmt.Errorf("write migration: %w", err)
			}
			_, err = f.WriteString(files[file])
			if err := errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("write migration: %w", err)
			}
			fmt.Fprintf(env.stdout, "%s\n", path)
		}
	}
	return nil
}

// plainFiles are pairs of SQL files.
type plainFiles struct{}

var plainPattern = regexp.MustCompile(`^(\d+)_.*\.up\.sql$`)

func (plainFiles) pattern() *regexp.Regexp { return plainPattern }

func (plainFiles) write(number int, s triggers.Script, _ string, _ bool) (map[string]string, string) {
	name := fmt.Sprintf("%04d_rowfeed_%s", number, s.Name)
	return map[string]string{name + ".up.sql": s.Up, name + ".down.sql": s.Down}, name
}
