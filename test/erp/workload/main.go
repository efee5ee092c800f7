// Command workload writes to a sample ERP's database as its users would:
//
//	workload --rate 50 --for 1m postgres://erp@localhost:5432/nalar
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"nalar.internal/rowfeed/test/erp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(1)
	}
}

// run works until ctx or the given time ends, and prints what was committed as JSON.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var opt erp.Options
	flags := flag.NewFlagSet("workload", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: workload [flags] URL   (of the sample ERP's database, as its role "+erp.Role+")")
		flags.PrintDefaults()
	}
	flags.Float64Var(&opt.Rate, "rate", 20, "committed changes a second")
	flags.IntVar(&opt.Users, "users", 8, "people who work at the same time")
	flags.Uint64Var(&opt.Seed, "seed", 1, "of what they choose to do")
	flags.BoolVar(&opt.Persist, "persist", false, "go on when the server goes away")
	duration := flags.Duration("for", 0, "how long; 0: until interrupted")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return errors.New("give the URL of the database")
	}
	if *duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
	}
	config, err := pgxpool.ParseConfig(flags.Arg(0))
	if err != nil {
		return fmt.Errorf("read database URL: %w", err)
	}
	config.MaxConns = int32(opt.Users) + 2
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to database: %w", err)
	}
	defer pool.Close()
	result, err := erp.Run(ctx, pool, opt)
	result.Elapsed = result.Elapsed.Round(time.Millisecond)
	out := json.NewEncoder(stdout)
	out.SetIndent("", "  ")
	return errors.Join(err, out.Encode(struct {
		Seconds, ChangesPerSecond float64
		erp.Result
	}{result.Elapsed.Seconds(), float64(result.Changes()) / max(result.Elapsed.Seconds(), 0.001), result}))
}
