//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/test/bench/floor"
	"nalar.internal/rowfeed/test/pgserver"
	"nalar.internal/rowfeed/triggers"
)

var (
	//go:embed sql/tables.sql
	tablesSQL string
	//go:embed sql/rows.sql
	rowsSQL string
	//go:embed sql/floor.sql
	floorSQL string
	//go:embed sql/rowfeed.yaml
	bridgeSettings []byte
)

const bridgeRole = "rowfeed"

// stage is what the benchmarks stand on: one PostgreSQL server with its durable defaults, and in it a database for each
// of the programs that are compared, so that the notifications of one don't wake the other's listener.
type stage struct {
	ctx      context.Context
	server   *pgserver.Server
	dir      string
	profiles string // folder for CPU profiles; empty: none
	children []*child
	conns    []*pgx.Conn
	count    int
}

func newStage(ctx context.Context, profiles string, settings map[string]string) (*stage, error) {
	server, err := pgserver.Start(ctx, pgserver.Options{Durable: true, Settings: settings})
	if err != nil {
		return nil, fmt.Errorf("start postgresql: %w", err)
	}
	s := &stage{ctx: ctx, server: server, profiles: profiles}
	if s.dir, err = os.MkdirTemp("", "rowfeed-bench-"); err != nil {
		server.Stop()
		return nil, fmt.Errorf("make folder: %w", err)
	}
	if err := os.WriteFile(s.file(), bridgeSettings, 0o600); err != nil {
		_ = s.close()
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return s, nil
}

func (s *stage) file() string { return filepath.Join(s.dir, "rowfeed.yaml") }

// clear ends what a benchmark started.
func (s *stage) clear() error {
	var errs []error
	for i := len(s.children) - 1; i >= 0; i-- { // clients first: servers need not tell them good-bye
		errs = append(errs, s.children[i].stop())
	}
	for _, conn := range s.conns {
		errs = append(errs, conn.Close(context.WithoutCancel(s.ctx)))
	}
	s.children, s.conns = nil, nil
	return errors.Join(errs...)
}

func (s *stage) close() error {
	err := s.clear()
	s.server.Stop()
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *stage) spawn(j job) (*child, error) {
	c, err := spawn(s.ctx, j)
	if err == nil {
		s.children = append(s.children, c)
	}
	return c, err
}

// side is one of the programs that are compared: its process, its database and its clients.
type side struct {
	*child
	stage    *stage
	database string
	address  string
	bridge   bool
	clients  *child
	expected int   // events that the clients are to have received in all
	wrote    usage // for them
}

// bridge starts a bridge on a database of its own with the given number of rows in each table.
func (s *stage) bridge(rows int, environ ...string) (*side, error) {
	database, err := s.makeDatabase(rows, "")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	j := job{Role: "bridge", Config: s.file(), Environ: append([]string{
		"ROWFEED_DATABASE_URL=" + s.server.URL(database, bridgeRole),
		"ROWFEED_SERVER_LISTEN=" + address,
		"ROWFEED_AUTH_JWT_SECRET=" + secret,
	}, environ...)}
	if err := s.install(j, database); err != nil {
		return nil, err
	}
	c, err := s.spawn(j)
	return &side{child: c, stage: s, database: database, address: address, bridge: true}, err
}

// floor starts a floor on a database of its own.
func (s *stage) floor(rows int, o floor.Options) (*side, error) {
	database, err := s.makeDatabase(rows, floorSQL)
	if err != nil {
		return nil, err
	}
	c, err := s.spawn(job{Role: "floor", URL: s.server.URL(database, pgserver.Superuser), Floor: o})
	if err != nil {
		return nil, err
	}
	return &side{child: c, stage: s, database: database, address: c.hello}, nil
}

// makeDatabase makes a database with its tables.
func (s *stage) makeDatabase(rows int, more string) (string, error) {
	s.count++
	name := fmt.Sprintf("bench_%d", s.count)
	if err := s.exec("postgres", "create database "+name); err != nil {
		return "", err
	}
	return name, s.exec(name, tablesSQL+fmt.Sprintf(rowsSQL, rows, rows)+more)
}

func (s *stage) exec(database, sql string) error {
	conn, err := pgx.Connect(s.ctx, s.server.URL(database, pgserver.Superuser))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(s.ctx))
	if _, err := conn.Exec(s.ctx, sql); err != nil {
		return fmt.Errorf("prepare database: %w", err)
	}
	return nil
}

// install makes the bridge's role and the triggers that its configuration wants.
func (s *stage) install(j job, database string) error {
	cfg, err := loadConfig(j)
	if err != nil {
		return err
	}
	wants, problems := rule.Wants(cfg)
	if len(problems) > 0 {
		return cfg.Locate(problems)
	}
	conn, err := pgx.Connect(s.ctx, s.server.URL(database, pgserver.Superuser))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(s.ctx))
	if _, err := conn.Exec(s.ctx, "do $$ begin create role "+bridgeRole+
		" login; exception when duplicate_object then null; end $$"); err != nil {
		return fmt.Errorf("create role: %w", err)
	}
	return triggers.Up(s.ctx, conn, triggers.Target{
		Schema: cfg.Database.Schema, Retention: cfg.Database.Retention, RuntimeRole: bridgeRole, Wants: wants,
	}, func(string) {})
}

// connect opens a connection to the side's database, for what an ERP does; it stays until the benchmark ends.
func (d *side) connect() (*pgx.Conn, error) {
	conn, err := pgx.Connect(d.stage.ctx, d.stage.server.URL(d.database, pgserver.Superuser))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	d.stage.conns = append(d.stage.conns, conn)
	return conn, nil
}

// subscribe connects clients of the channel and returns when all are live. The floor knows no channel.
func (d *side) subscribe(channel string, count int, authority string) error {
	if !d.bridge {
		channel = ""
	}
	c, err := d.stage.spawn(job{Role: "clients", Address: d.address, Channel: channel, Count: count, Authority: authority})
	d.clients = c
	return err
}

// profile begins or ends a CPU profile of a bridge, where profiles are wanted.
func (d *side) profile(name string) error {
	if d.stage.profiles == "" || !d.bridge {
		return nil
	}
	_, err := d.ask(d.stage.ctx, "profile "+filepath.Join(d.stage.profiles, name+".pprof"))
	return err
}

// heap writes a profile of a bridge's memory, where profiles are wanted.
func (d *side) heap(name string) error {
	if d.stage.profiles == "" {
		return nil
	}
	_, err := d.ask(d.stage.ctx, "heap "+filepath.Join(d.stage.profiles, name+"-heap.pprof"))
	return err
}

// usage is what a server used for events: CPU time, system calls that wrote, and bytes that they wrote.
type usage struct{ microseconds, calls, bytes int }

// used asks what the server has used since its start.
func (d *side) used() (u usage, err error) {
	if u.microseconds, err = d.number(d.stage.ctx, "cpu"); err != nil {
		return u, err
	}
	text, err := d.ask(d.stage.ctx, "io")
	if err == nil {
		_, err = fmt.Sscan(text, &u.calls, &u.bytes)
	}
	return u, err
}

// cost runs do, after which the clients are to have received so many events more, and returns the server's CPU time
// from its begin to the last event's arrival, in microseconds per event.
func (d *side) cost(events int, do func() error) (float64, error) {
	before, err := d.used()
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	d.expected += events
	if _, err := d.clients.ask(d.stage.ctx, fmt.Sprintf("await %d", d.expected)); err != nil {
		return 0, err
	}
	after, err := d.used()
	if err != nil {
		return 0, err
	}
	got, err := d.clients.number(d.stage.ctx, "got")
	if err != nil {
		return 0, err
	}
	if got != d.expected {
		return 0, fmt.Errorf("%s delivered %d events, want %d", d.role, got, d.expected)
	}
	d.wrote.calls += after.calls - before.calls
	d.wrote.bytes += after.bytes - before.bytes
	return float64(after.microseconds-before.microseconds) / float64(events), nil
}

// each returns what a delivery has been on the wire so far: bytes and system calls.
func (d *side) each() (bytes, calls float64) {
	n := float64(d.expected)
	return float64(d.wrote.bytes) / n, float64(d.wrote.calls) / n
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
