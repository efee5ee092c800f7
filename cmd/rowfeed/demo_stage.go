package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/erp"
	"nalar.internal/rowfeed/test/pgserver"
	"nalar.internal/rowfeed/triggers"
)

// The database of the demo, and the roles of the bridge and of an operator in it, which may do no more than they were
// granted.
const (
	demoDatabase     = "nalar"
	demoBridgeRole   = "rowfeed"
	demoOperatorRole = "operator"
)

// demoStage is what the demo stands on: the database with the sample ERP and its triggers, and the bridge's
// configuration.
type demoStage struct {
	cfg      *config.Config
	server   *pgserver.Server
	erp      *pgxpool.Pool // as the ERP
	feed     *pgxpool.Pool // as the bridge, to count what was committed
	operator *pgxpool.Pool // as who may ask the bridge to explain
	origin   string        // of the page
	environ  []string      // of the bridge: what differs from the sample ERP's configuration
}

// newDemoStage builds it. What is returned has to be closed, with an error too where it is not nil.
func newDemoStage(ctx context.Context, page string) (*demoStage, error) {
	server, err := pgserver.Start(ctx, pgserver.Options{})
	if err != nil {
		return nil, fmt.Errorf("start postgresql: %w", err)
	}
	s := &demoStage{server: server, origin: "http://" + page}
	if s.cfg, err = s.configure(); err != nil {
		return s, err
	}
	if err := s.install(ctx); err != nil {
		return s, err
	}
	if s.erp, err = s.pool(ctx, erp.Role, 20); err != nil { // the workload takes half of them
		return s, err
	}
	if s.feed, err = s.pool(ctx, demoBridgeRole, 2); err != nil {
		return s, err
	}
	s.operator, err = s.pool(ctx, demoOperatorRole, 3)
	return s, err
}

func (s *demoStage) pool(ctx context.Context, role string, size int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(s.server.URL(demoDatabase, role))
	if err != nil {
		return nil, fmt.Errorf("connect as %s: %w", role, err)
	}
	cfg.MaxConns = size
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect as %s: %w", role, err)
	}
	return pool, nil
}

// close ends what newDemoStage started and removes the temporary directory.
func (s *demoStage) close() {
	for _, pool := range []*pgxpool.Pool{s.erp, s.feed, s.operator} {
		if pool != nil {
			pool.Close()
		}
	}
	s.server.Stop()
}

// configure loads the sample ERP's configuration, as a file like any other, with this demo's addresses and a secret of
// its own.
func (s *demoStage) configure() (*config.Config, error) {
	bridge, err := freeAddress()
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 48)
	rand.Read(secret)
	dir, err := os.MkdirTemp("", "rowfeed-demo-")
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w: set TMPDIR to a directory that can be written", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, config.DefaultFile)
	if err := os.WriteFile(file, erp.Config, 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w: set TMPDIR to a directory that can be written", err)
	}
	s.environ = []string{
		"ROWFEED_DATABASE_URL=" + s.server.URL(demoDatabase, demoBridgeRole),
		"ROWFEED_SERVER_LISTEN=" + bridge,
		"ROWFEED_SERVER_DRAIN=1s",
		"ROWFEED_SERVER_ALLOWED_ORIGINS=" + s.origin + "," + localhost(s.origin),
		"ROWFEED_AUTH_JWT_SECRET=" + base64.RawStdEncoding.EncodeToString(secret),
	}
	cfg, err := config.Load(config.Options{Path: file, Environ: s.environ})
	if err != nil {
		return nil, fmt.Errorf("load configuration of sample ERP: %w", err)
	}
	if problems := cfg.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("check configuration of sample ERP: %w", problems)
	}
	return cfg, nil
}

// handOver writes what somebody else needs to run the bridge, and says how.
func (s *demoStage) handOver(w io.Writer, folder string) error {
	file, env := filepath.Join(folder, config.DefaultFile), filepath.Join(folder, "rowfeed.env")
	var lines strings.Builder
	for _, line := range s.environ {
		name, value, _ := strings.Cut(line, "=")
		fmt.Fprintf(&lines, "export %s='%s'\n", name, value)
	}
	for name, text := range map[string][]byte{file: erp.Config, env: []byte(lines.String())} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return fmt.Errorf("write the bridge's configuration: %w: give --bridge a folder that can be written", err)
		}
	}
	fmt.Fprintf(w, "\n  The bridge is yours to start:  . %s; rowfeed serve --config %s\n", env, file)
	return nil
}

// install makes the database, the ERP's tables and rows, the bridge's role, and the triggers.
func (s *demoStage) install(ctx context.Context) error {
	admin, err := pgx.Connect(ctx, s.server.URL("postgres", pgserver.Superuser))
	if err != nil {
		return fmt.Errorf("connect to postgresql: %w", err)
	}
	defer admin.Close(context.WithoutCancel(ctx))
	for _, sql := range []string{
		"create database " + pgx.Identifier{demoDatabase}.Sanitize(),
		"create role " + pgx.Identifier{demoBridgeRole}.Sanitize() + " login",
		"create role " + pgx.Identifier{demoOperatorRole}.Sanitize() + " login",
	} {
		if _, err := admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make database: %w", err)
		}
	}
	conn, err := pgx.Connect(ctx, s.server.URL(demoDatabase, pgserver.Superuser))
	if err != nil {
		return fmt.Errorf("connect to postgresql: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := erp.Install(ctx, conn); err != nil {
		return err
	}
	target, err := s.target()
	if err != nil {
		return err
	}
	if err := triggers.Up(ctx, conn, target, func(string) {}); err != nil {
		return fmt.Errorf("install triggers: %w", err)
	}
	ask := fmt.Sprintf("grant %s to %s", pgx.Identifier{target.Schema + "_operator"}.Sanitize(),
		pgx.Identifier{demoOperatorRole}.Sanitize())
	if _, err := conn.Exec(ctx, ask); err != nil {
		return fmt.Errorf("grant operator's role: %w", err)
	}
	return erp.GrantQueries(ctx, conn, demoBridgeRole)
}

// target is what is installed.
func (s *demoStage) target() (triggers.Target, error) {
	wants, problems := rule.Wants(s.cfg)
	if len(problems) > 0 {
		return triggers.Target{}, fmt.Errorf("check rules of sample ERP: %w", config.Problems(problems))
	}
	return triggers.Target{Schema: s.cfg.Database.Schema, Retention: s.cfg.Database.Retention,
		RuntimeRole: demoBridgeRole, Wants: wants}, nil
}

var errServerEnded = errors.New("postgresql ended by itself: start the demo again")

// watch ends with an error when the database server ends by itself.
func (s *demoStage) watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.server.Done():
		return errServerEnded
	}
}

// diagnose names the cause of an error: when the server goes, everything else notices it first. The visitor's Ctrl-C
// is none.
func (s *demoStage) diagnose(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	wait := time.NewTimer(time.Second)
	defer wait.Stop()
	select {
	case <-s.server.Done():
		return errServerEnded
	case <-wait.C:
		return err
	}
}

// socket returns the address of the bridge's full endpoint.
func (s *demoStage) socket() string { return "ws://" + s.cfg.Server.Listen + "/ws" }

// freeAddress returns a loopback address that nothing listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find free port: %w: free a port and start again", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// localhost returns the origin as a visitor may have typed it.
func localhost(origin string) string {
	_, port, _ := net.SplitHostPort(origin[len("http://"):])
	if _, err := strconv.Atoi(port); err != nil {
		return origin
	}
	return "http://" + net.JoinHostPort("localhost", port)
}
