// Command stage is what a bridge needs that a browser test runs: a PostgreSQL server with one table of counters, its
// triggers, a configuration file, and writers who keep the record of what they committed. It takes a word a line on
// stdin (write, pour, stop, or sql and a statement) and answers in lines of JSON; the end of stdin ends it.
package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/pgserver"
	"nalar.internal/rowfeed/triggers"
)

//go:embed counter.sql
var counterSQL string

//go:embed rowfeed.yaml
var settings string

const (
	bridgeRole = "rowfeed"
	secret     = "a secret of tests, long enough for HS256"
)

func main() {
	origin := flag.String("origin", "", "the `origin` of the page that connects")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *origin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, origin string) error {
	server, err := pgserver.Start(ctx, pgserver.Options{})
	if err != nil {
		return fmt.Errorf("start postgresql: %w", err)
	}
	defer server.Stop()
	dir, err := os.MkdirTemp("", "rowfeed-stage-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	address, err := freeAddress()
	if err != nil {
		return err
	}
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, config.DefaultFile)
	text := strings.NewReplacer("{url}", server.URL("postgres", bridgeRole), "{listen}", address, "{admin}", admin,
		"{origin}", origin, "{secret}", secret).Replace(settings)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	url := server.URL("postgres", pgserver.Superuser)
	if err := install(ctx, url, file); err != nil {
		return err
	}
	answer := map[string]string{"config": file, "address": address, "admin": admin}
	for name, claims := range map[string]jwt.MapClaims{
		"token":    {"user_id": "1"},
		"other":    {"user_id": "2"},
		"operator": {"user_id": "1", "rowfeed_operator": true},
	} {
		claims["exp"] = time.Now().Add(time.Hour).Unix()
		if answer[name], err = jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret)); err != nil {
			return fmt.Errorf("sign token: %w", err)
		}
	}
	api, err := serve(ctx, url, origin)
	if err != nil {
		return err
	}
	answer["api"] = api
	if err := say(answer); err != nil {
		return err
	}
	return obey(ctx, url)
}

// install makes the table, the bridge's role and the triggers that the configuration wants.
func install(ctx context.Context, url, file string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, counterSQL); err != nil {
		return fmt.Errorf("make table: %w", err)
	}
	cfg, err := config.Load(config.Options{Path: file, Environ: []string{}})
	if err != nil {
		return fmt.Errorf("load configuration: %w", err)
	}
	wants, problems := rule.Wants(cfg)
	if len(problems) > 0 {
		return cfg.Locate(problems)
	}
	return triggers.Up(ctx, conn, triggers.Target{
		Schema: cfg.Database.Schema, Retention: cfg.Database.Retention, RuntimeRole: bridgeRole, Wants: wants,
	}, func(string) {})
}

// obey does what stdin says until it ends.
func obey(ctx context.Context, url string) error {
	words := make(chan string)
	go func() { // ends with stdin, or with the process
		defer close(words)
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			words <- lines.Text()
		}
	}()
	w := newWriters(url)
	defer w.stop() //nolint:errcheck // the process ends, and what they wrote goes with it
	for {
		select {
		case <-ctx.Done():
			return nil
		case word, ok := <-words:
			switch {
			case !ok:
				return nil
			case word == "write":
				w.start(ctx)
			case word == "pour":
				w.pour(ctx)
			case word == "stop":
				if err := w.stop(); err != nil {
					return err
				}
				record, err := record(ctx, url)
				if err != nil {
					return err
				}
				if err := say(record); err != nil {
					return err
				}
			case strings.HasPrefix(word, "sql "):
				if err := execute(ctx, url, strings.TrimPrefix(word, "sql ")); err != nil {
					return err
				}
				if err := say("done"); err != nil {
					return err
				}
			default:
				return errors.New("unknown word: " + word)
			}
		}
	}
}

// execute runs a statement of the ERP's.
func execute(ctx context.Context, url, statement string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("run %q: %w", statement, err)
	}
	return nil
}

// record is how often each counter was changed, by its id.
func record(ctx context.Context, url string) (map[int]int, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "select id, n from counter")
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	counts := map[int]int{}
	var id, n int
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		counts[id] = n
		return nil
	})
	return counts, err
}

func say(v any) error {
	return json.NewEncoder(os.Stdout).Encode(v)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
