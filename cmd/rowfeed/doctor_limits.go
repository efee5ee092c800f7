package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"nalar.internal/rowfeed/config"
)

// connectionsOf is how many connections a node has to the database at most: of each channel one that sweeps, one that reads
// for those who come back, one that listens unless it polls, and one that leads while it is busy; the control channel's,
// which nobody resumes; and the pool's.
func connectionsOf(cfg *config.Config) (int, error) {
	pool, err := pgxpool.ParseConfig(cfg.Database.URL)
	if err != nil {
		return 0, err
	}
	n := int(pool.MaxConns) + 3
	for _, c := range cfg.Channels {
		switch n += 4; c.Wake {
		case "sweep":
			n -= 2
		case "notify":
			n--
		}
	}
	return n, nil
}

// checkConnections compares what a node needs with what the server has left. What is there of serve's role already counts
// for it: another bridge, or this one before it starts anew.
func checkConnections(ctx context.Context, x *examination) []finding {
	need, err := connectionsOf(x.cfg)
	if err != nil {
		return nil // the configuration's check says so
	}
	user := x.runtimeUser()
	var places, used, roleLimit, databaseLimit, ours, here int
	err = x.admin.QueryRow(ctx, doctorQuery("connections"), user).Scan(&places, &used, &roleLimit, &databaseLimit, &ours, &here)
	if err != nil {
		return []finding{unreadable("connections", err)}
	}
	var found []finding
	for _, l := range []struct {
		what         string
		places, used int
		do           string
	}{
		{"the server has", places, used, "raise max_connections, which needs a restart"},
		{"role " + user + " has", roleLimit, ours, "alter role " + pgx.Identifier{user}.Sanitize() + " connection limit"},
		{"the database has", databaseLimit, here, "alter database … connection limit"},
	} {
		const or = "; or use fewer channels, or a smaller pool: pool_max_conns in database.url"
		switch {
		case l.places < 0:
		case need > l.places:
			found = append(found, fail(fmt.Sprintf("a node may need %d connections, and %s places for %d", need, l.what, l.places), l.do+or))
		case need > l.places-l.used+ours:
			found = append(found, warn(fmt.Sprintf("a node may need %d connections, and %s %d places left of %d", need, l.what, l.places-l.used+ours,
				l.places), l.do+", or have others use fewer"+or))
		}
	}
	if len(found) == 0 {
		found = append(found, good("a node may need %d; of the server's %d places others use %d", need, places, used-ours))
	}
	return found
}

// The limits that end what serve does, in milliseconds: its statements have 5 s, and who comes back may be sent for a while
// what was missed, in one transaction.
var leastLimits = map[string]struct {
	least int64
	why   string
}{
	"statement_timeout":                   {5_000, "queries of users and grants, ticks and the outbox's retention are ended"},
	"idle_in_transaction_session_timeout": {60_000, "a replay to a client that reads slowly is ended, and begins anew"},
	"transaction_timeout":                 {60_000, "a long sweep or replay is ended, and begins anew"},
}

// checkSettings looks at settings of serve's role, and of all roles, that take something from what rowfeed does.
func checkSettings(ctx context.Context, x *examination) []finding {
	rows, err := x.runtime.Query(ctx, doctorQuery("settings"))
	if err != nil {
		return []finding{unreadable("settings", err)}
	}
	var found []finding
	var name string
	var value int64
	role := pgx.Identifier{x.runtime.Config().User}.Sanitize()
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		if l := leastLimits[name]; value > 0 && value < l.least {
			found = append(found, warn(fmt.Sprintf("%s is %d ms for serve's role: %s", name, value, l.why),
				fmt.Sprintf("alter role %s set %s = '%ds', or 0", role, name, l.least/1000)))
		}
		return nil
	})
	if err != nil {
		return []finding{unreadable("settings", err)}
	}
	type setting struct{ Text, Who string }
	rows, err = x.runtime.Query(ctx, doctorQuery("defaults"))
	if err != nil {
		return []finding{unreadable("settings", err)}
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[setting])
	if err != nil {
		return []finding{unreadable("settings", err)}
	}
	for _, s := range list {
		found = append(found, defaultFinding(s.Text, s.Who))
	}
	if len(found) == 0 {
		found = append(found, good("none ends serve's work, or takes something from what is captured"))
	}
	return found
}

// defaultFinding says what a setting does.
func defaultFinding(setting, who string) finding {
	switch name, _, _ := strings.Cut(setting, "="); name {
	case "synchronous_commit":
		return warn("synchronous_commit is off for "+who+": a crash of the server can take back what was committed in the last moments, and "+
			"was shown to users; they hear resync when it is back", "leave it on, or local, where users are shown what was committed")
	case "session_replication_role":
		return warn("session_replication_role is replica for "+who+": changes are captured all the same, but neither foreign keys nor the "+
			"ERP's own triggers fire", "reset it, unless that is meant")
	default:
		return warn("autovacuum is off: statistics grow old, tables grow, and at last the server stops for want of transaction ids",
			"switch it on")
	}
}
