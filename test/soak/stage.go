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
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/pgserver"
	"nalar.internal/rowfeed/triggers"
)

var (
	//go:embed sql/tables.sql
	tablesSQL string
	//go:embed sql/rowfeed.yaml
	settings []byte
)

const (
	bridgeRole = "rowfeed"
	secret     = "a secret of endurance tests, long enough for HS256"
	database   = "soak"
)

// stage is what a scenario stands on: a PostgreSQL server of its own with the tables and the triggers, and the bridge.
type stage struct {
	*process
	server *pgserver.Server
	dir    string
	random uint64 // seed
}

// newStage starts the server and the bridge that is at program.
func newStage(ctx context.Context, program string, options pgserver.Options) (s *stage, err error) {
	server, err := pgserver.Start(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("start postgresql: %w", err)
	}
	s = &stage{server: server, random: uint64(time.Now().UnixNano())}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "rowfeed-soak-"); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	p := &process{program: program, config: filepath.Join(s.dir, "rowfeed.yaml"), log: filepath.Join(s.dir, "bridge.log")}
	if err := os.WriteFile(p.config, settings, 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	if p.address, err = freeAddress(); err != nil {
		return nil, err
	}
	if p.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	p.environ = []string{
		"ROWFEED_DATABASE_URL=" + server.URL(database, bridgeRole), "ROWFEED_AUTH_JWT_SECRET=" + secret,
		"ROWFEED_SERVER_LISTEN=" + p.address, "ROWFEED_SERVER_ADMIN_LISTEN=" + p.admin,
	}
	for _, step := range [][2]string{
		{"postgres", "create role " + bridgeRole + " login"}, {"postgres", "create database " + database}, {database, tablesSQL},
	} {
		if err := s.exec(ctx, step[0], step[1]); err != nil {
			return nil, err
		}
	}
	if err := s.install(ctx, p); err != nil {
		return nil, err
	}
	s.process = p
	return s, p.start(ctx)
}

// install writes the triggers that the configuration wants.
func (s *stage) install(ctx context.Context, p *process) error {
	cfg, err := config.Load(config.Options{Path: p.config, Environ: p.environ})
	if err != nil {
		return fmt.Errorf("load configuration: %w", err)
	}
	if problems := cfg.Validate(); len(problems) > 0 {
		return fmt.Errorf("check configuration: %w", cfg.Locate(problems))
	}
	wants, problems := rule.Wants(cfg)
	if len(problems) > 0 {
		return cfg.Locate(problems)
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return triggers.Up(ctx, conn, triggers.Target{
		Schema: cfg.Database.Schema, Retention: cfg.Database.Retention, RuntimeRole: bridgeRole, Wants: wants,
	}, func(string) {})
}

// connect opens a connection as the ERP's.
func (s *stage) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, s.server.URL(database, pgserver.Superuser))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

func (s *stage) exec(ctx context.Context, database, sql string, args ...any) error {
	conn, err := pgx.Connect(ctx, s.server.URL(database, pgserver.Superuser))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if len(args) == 0 { // may be several statements, some of which allow no transaction around them
		_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	} else {
		_, err = conn.Exec(ctx, sql, args...)
	}
	if err != nil {
		return fmt.Errorf("run statement: %w", err)
	}
	return nil
}

func (s *stage) close() {
	if s.process != nil && s.done != nil {
		_ = s.crash() // what it has to say is in its log
	}
	s.server.Stop()
	_ = os.RemoveAll(s.dir)
}

// token signs claims.
func token(claims jwt.MapClaims) string {
	claims["exp"] = time.Now().Add(24 * time.Hour).Unix()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		panic(err) // a key of bytes signs anything
	}
	return text
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

var errJudged = errors.New("not as it must be: see the table")
