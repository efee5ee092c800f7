//go:build linux

// Command bench prints the figures of the README: what the bridge costs, against a floor that does the least that can
// be done (package floor), both measured in one run on one PostgreSQL server, each in a process of its own. Apart from
// these (writes), what a write of the ERP costs with the triggers and with others. The exit code is 1 where a bar is not
// held.
//
//	go run ./test/bench [-only latency,saturation,steady,fanin,idle,writes] [-rounds 3] [-short] [-profile DIR]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command() error {
	if os.Getenv(roleVariable) != "" {
		return runChild(os.Stdin, os.Stdout)
	}
	only := flag.String("only", "", "benchmarks to run, by commas; empty: all but writes")
	rounds := flag.Int("rounds", full.rounds, "alternating rounds of each measurement")
	quick := flag.Bool("short", false, "fewer clients and less time: to see that it works, not to quote")
	profiles := flag.String("profile", "", "folder to write CPU profiles of the bridge into")
	flag.Parse()
	z := full
	if *quick {
		z = short
	}
	z.rounds = max(1, *rounds)
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Stdout, os.Stderr, names, z, *profiles)
}
