package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/bridge/change"
)

// patience is how long a check waits for what takes no time where all is well.
const patience = 2 * time.Second

// checkDatabase connects as migrate and as serve do, and says what stands between them and the database.
func checkDatabase(ctx context.Context, x *examination) []finding {
	found := x.reach(ctx, "database.url", x.cfg.Database.URL, needsRuntime, &x.runtime)
	if x.cfg.Database.AdminURL == "" && x.runtime == nil {
		return found
	}
	key, url := "database.admin_url", x.cfg.Database.AdminURL
	if url == "" {
		key, url = "database.url", x.cfg.Database.URL
	}
	for _, f := range x.reach(ctx, key, url, needsAdmin, &x.admin) {
		if x.cfg.Database.AdminURL != "" { // else it has been said
			found = append(found, f)
		}
	}
	if x.runtime != nil || x.admin != nil {
		conn := x.runtime
		if conn == nil {
			conn = x.admin
		}
		var installed bool
		err := conn.QueryRow(ctx, "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace "+
			"where n.nspname = $1 and c.relname = 'installation')", x.cfg.Database.Schema).Scan(&installed)
		if err != nil {
			found = append(found, fail("the catalog can't be read: "+plain(err), "see the error"))
		}
		if installed {
			x.has |= needsInstalled
		}
	}
	return found
}

// reach opens a connection and looks at where it leads. One that is of no use to other checks is closed again.
func (x *examination) reach(ctx context.Context, key, url string, what needs, keep **pgx.Conn) []finding {
	cfg, err := bridge.DatabaseConfig(url)
	if err != nil {
		return []finding{fail("parse "+key+": it is not the address of a database", "write it as postgres://user@host:5432/database")}
	}
	cfg.RuntimeParams["application_name"] = "rowfeed doctor"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return []finding{unreachable(key, err)}
	}
	found, usable := x.way(ctx, key, conn)
	if !usable {
		closeConn(ctx, conn)
		return found
	}
	*keep = conn
	x.has |= what
	return found
}

// unreachable says why there is no connection.
func unreachable(key string, err error) finding {
	text := strings.Join(strings.Fields(err.Error()), " ")
	switch {
	case strings.Contains(text, "unsupported startup parameter"):
		return fail("connect to "+key+": "+text+": that is a pooler such as PgBouncer, through which nothing can be listened to",
			"name the server itself in "+key)
	case errors.Is(err, pgconn.ErrStandbyConnection):
		return fail("connect to "+key+": none of its hosts is a primary that answers", "promote a standby, or start the primary")
	}
	return fail("connect to the database by "+key+": "+text, "check "+key+", and that the server runs and lets this user in; what has to do "+
		"with this connection was not looked at")
}

// way says what stands between a connection and the database, and whether other checks can use it.
func (x *examination) way(ctx context.Context, key string, conn *pgx.Conn) (found []finding, usable bool) {
	if err := change.CheckServer(conn.PgConn().ParameterStatus("server_version")); err != nil {
		return []finding{fail(key+": "+err.Error(), "upgrade the server; what has to do with this connection was not looked at")}, false
	}
	var pid uint32
	var standby bool
	var user, name string
	err := conn.QueryRow(ctx, "select pg_backend_pid(), pg_is_in_recovery(), current_user::text, current_database()::text",
		pgx.QueryExecModeSimpleProtocol).Scan(&pid, &standby, &user, &name)
	if err != nil {
		return []finding{fail(key+": "+plain(err), "see the error")}, false
	}
	if standby {
		return []finding{fail(key+" leads to a standby, where nothing can be written, ticked or listened to",
			"name the primary, or all hosts, separated by commas")}, false
	}
	if pid != conn.PgConn().PID() { // the key that a pooler gives its clients is its own
		hears, err := hears(ctx, conn)
		if err != nil {
			return []finding{fail(key+" leads through a pooler that does not let LISTEN pass: "+plain(err), "name the server itself in "+key)}, false
		}
		if !hears {
			return []finding{fail(key+" leads through a pooler that gives each transaction another connection (PgBouncer in transaction "+
				"mode): nothing can be listened to, and locks are lost", "name the server itself in "+key)}, false
		}
		found = append(found, warn(key+" leads through a pooler in session mode: it keeps a connection of the server for each of "+
			"rowfeed's all the same, and drops the settings that rowfeed connects with", "name the server itself in "+key))
	}
	addr, ok := conn.PgConn().Conn().RemoteAddr().(*net.TCPAddr)
	_, secure := conn.PgConn().Conn().(*tls.Conn)
	if ok && !addr.IP.IsLoopback() && !secure {
		found = append(found, warn(fmt.Sprintf("%s: the connection to %s is not encrypted: rows can be read on the way", key, addr),
			"switch ssl on in the server, and add sslmode=verify-full to "+key))
	}
	if len(found) == 0 {
		found = append(found, good("%s leads straight to database %s, as role %s", key, printable(name), printable(user)))
	}
	return found, true
}

// hears tries whether what conn listens for reaches it while it is in no transaction.
func hears(ctx context.Context, conn *pgx.Conn) (bool, error) {
	channel := "rowfeed_doctor_" + rand.Text()
	quoted := pgx.Identifier{channel}.Sanitize()
	if _, err := conn.Exec(ctx, "listen "+quoted, pgx.QueryExecModeSimpleProtocol); err != nil {
		return false, err
	}
	cfg := conn.Config()
	cfg.OnNotification = nil // else it would be conn's: what other hears would be taken for what conn hears
	other, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer closeConn(ctx, other)
	if _, err := other.Exec(ctx, "notify "+quoted, pgx.QueryExecModeSimpleProtocol); err != nil {
		return false, err
	}
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = conn.WaitForNotification(limit)
	if err != nil && limit.Err() != nil {
		return false, ctx.Err()
	}
	if err == nil {
		_, err = conn.Exec(ctx, "unlisten "+quoted, pgx.QueryExecModeSimpleProtocol)
	}
	return err == nil, err
}

// close ends both connections.
func (x *examination) close(ctx context.Context) {
	for _, conn := range []*pgx.Conn{x.admin, x.runtime} {
		if conn != nil {
			closeConn(ctx, conn)
		}
	}
}

// closeConn closes a connection that has nothing left to lose.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
