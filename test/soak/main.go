//go:build linux

// Command soak prints the endurance figures of the README: it kills, cuts and floods a real bridge and a real
// PostgreSQL server under load, and judges what arrived by a record that is kept in the database.
//
//	go run ./test/soak [-only killed,terminated,…] [-short]
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
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func command() error {
	if os.Getenv(smallVariable) != "" {
		return serveSmall()
	}
	only := flag.String("only", "", "scenarios to run, by commas; empty: all")
	quick := flag.Bool("short", false, "less of everything: to see that it works, not to quote")
	flag.Parse()
	z := full
	if *quick {
		z = short
	}
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Stdout, os.Stderr, names, z)
}
