// Package pgtest gives tests fresh databases in a real PostgreSQL server, which is started once for a test process.
//
// Roles belong to the server, not to a database: a test that depends on a role not being there takes a NewServer.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"nalar.internal/rowfeed/test/pgserver"
)

// limit bounds each administrative step: a start, a CREATE DATABASE, a connect.
const limit = time.Minute

const poolSize = 20

// shared is the server of this test process.
var shared struct {
	once   sync.Once
	server *pgserver.Server
	err    error
}

var databases atomic.Int64

// DB is an empty database of a test, dropped when the test ends.
type DB struct {
	URL    string // as the superuser
	Name   string
	Server *pgserver.Server
}

// Main runs a package's tests, stops their server, and fails when goroutines were left behind:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
func Main(m *testing.M, options ...goleak.Option) {
	code := m.Run()
	if shared.server != nil {
		shared.server.Stop()
	}
	if code == 0 {
		if err := goleak.Find(options...); err != nil {
			fmt.Fprintln(os.Stderr, "goleak:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// New makes a database in the server that the tests of this process share.
func New(t testing.TB) *DB {
	t.Helper()
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		shared.server, shared.err = pgserver.Start(ctx, pgserver.Options{})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return NewIn(t, shared.server)
}

// NewServer starts a server for this test alone, with the given settings over the fast defaults, and stops it when
// the test ends.
func NewServer(t testing.TB, settings map[string]string) *pgserver.Server {
	t.Helper()
	return StartServer(t, pgserver.Options{Settings: settings})
}

// StartServer is NewServer with all options.
func StartServer(t testing.TB, opt pgserver.Options) *pgserver.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	server, err := pgserver.Start(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// NewIn makes a database in the given server.
func NewIn(t testing.TB, server *pgserver.Server) *DB {
	t.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	db := &DB{Name: name, Server: server, URL: server.URL(name, pgserver.Superuser)}
	ident := pgx.Identifier{name}.Sanitize()
	if err := db.admin("create database " + ident); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.admin("drop database " + ident + " with (force)"); err != nil {
			t.Errorf("drop test database: %v", err)
		}
	})
	return db
}

// admin runs one statement outside the test's database.
func (db *DB) admin(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, db.Server.URL("postgres", pgserver.Superuser))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// URLFor returns the database's URL for another role.
func (db *DB) URLFor(user string) string { return db.Server.URL(db.Name, user) }

// Connect opens a connection as the superuser, closed when the test ends.
func (db *DB) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	return db.ConnectAs(t, pgserver.Superuser)
}

// ConnectAs opens a connection as the given role, closed when the test ends.
func (db *DB) ConnectAs(t testing.TB, user string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, db.URLFor(user))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		_ = conn.Close(ctx) // the test may have cut it
	})
	return conn
}

// Pool opens a pool of up to 20 connections as the superuser, closed when the test ends.
func (db *DB) Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return db.PoolAs(t, pgserver.Superuser)
}

// PoolAs opens a pool of up to 20 connections as the given role, closed when the test ends.
func (db *DB) PoolAs(t testing.TB, user string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(db.URLFor(user))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = poolSize // the default depends on the machine
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// Exec runs SQL as the superuser on a connection of its own; without arguments it may be several statements.
func (db *DB) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	db.with(t, func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, sql, args...); err != nil {
			return fmt.Errorf("%w\nin: %s", err, sql)
		}
		return nil
	})
}

// with runs a function with a connection of the superuser's, and within the limit; its error fails the test.
func (db *DB) with(t testing.TB, f func(context.Context, *pgx.Conn) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := f(ctx, conn); err != nil {
		t.Fatal(err)
	}
}
