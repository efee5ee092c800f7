package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/triggers"
)

// migrateRoles prints the roles and what they need, as SQL for a superuser or, for programs, as a JSON array of
// triggers.Right. The exit code is 2 where something lacks that up does not see to.
func migrateRoles(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target, asJSON bool) error {
	cfg, _, err := env.load()
	if err != nil {
		return err
	}
	rights, err := triggers.Rights(ctx, conn, target, readings(cfg))
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(env.stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err = e.Encode(rights)
	} else {
		err = printRights(env.stdout, rights)
	}
	if err == nil && slices.ContainsFunc(rights, func(r triggers.Right) bool { return !r.Held && !r.ByUp }) {
		return somethingToDo
	}
	return err
}

// readings are the queries that serve's role runs.
func readings(cfg *config.Config) []triggers.Reading {
	var all []triggers.Reading
	add := func(key, sql string) {
		if strings.TrimSpace(sql) != "" {
			all = append(all, triggers.Reading{Key: key, SQL: sql})
		}
	}
	for _, q := range identityQueries(cfg.Auth) {
		add(q.key, q.sql)
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Metrics)) {
		add("metrics."+name+".sql", cfg.Metrics[name].SQL)
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Channels)) {
		for i, r := range cfg.Channels[name].Rules {
			if r.Inbox != nil {
				add(fmt.Sprintf("channels.%s.rules[%d].inbox.query", name, i), r.Inbox.Query)
			}
		}
	}
	return all
}

// roleTitles say what each role is for.
var roleTitles = map[string]string{
	triggers.Runtime:   "serve connects as it (database.url)",
	triggers.Owner:     "owns what rowfeed writes into the database; nobody logs in as it",
	triggers.Operator:  "for those who may ask bridges and kick sessions: make them its members; nobody logs in as it",
	triggers.Installer: "migrate connects as it (database.admin_url)",
}

const rolesHead = `-- The roles of rowfeed, and what each needs. Run what is no comment as a superuser, before rowfeed migrate up.
-- "held" is so already, "up" is what rowfeed migrate up gives. The roles of the ERP need nothing.
`

// printRights writes SQL that can be run by psql as it is: what is not to be run is a comment.
func printRights(w io.Writer, rights []triggers.Right) error {
	var b strings.Builder
	b.WriteString(rolesHead)
	of := ""
	for _, r := range rights {
		if r.Of != of {
			of = r.Of
			fmt.Fprintf(&b, "\n-- %s: %s\n", oneLine(r.Role), roleTitles[of])
		}
		why, sql := oneLine(r.Why), oneLine(r.SQL)
		switch {
		case sql == "":
			fmt.Fprintf(&b, "-- %s\n", why)
		case r.Held:
			fmt.Fprintf(&b, "-- held: %s -- %s\n", sql, why)
		case r.ByUp:
			fmt.Fprintf(&b, "-- up: %s -- %s\n", sql, why)
		default:
			fmt.Fprintf(&b, "%s -- %s\n", sql, why)
		}
	}
	if of != triggers.Installer {
		b.WriteString("\n-- The role that migrate connects as is a superuser and needs nothing.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
