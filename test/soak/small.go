//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/config"
)

// smallVariable, in the environment, makes this program a bridge that remembers so many bytes of a channel: what came
// before it has to read from the outbox. The command of the product has no such setting.
const smallVariable = "ROWFEED_SOAK_MEMORY"

// smallMemory is less than what the clients of histories miss.
const smallMemory = 256 << 10

// serveSmall runs that bridge until a signal comes. Its arguments are those of the product's command.
func serveSmall() error {
	bytes, err := strconv.Atoi(os.Getenv(smallVariable))
	if err != nil {
		return fmt.Errorf("read %s: %w", smallVariable, err)
	}
	environ := []string{}
	for _, name := range []string{"DATABASE_URL", "AUTH_JWT_SECRET", "SERVER_LISTEN", "SERVER_ADMIN_LISTEN"} {
		environ = append(environ, "ROWFEED_"+name+"="+os.Getenv("ROWFEED_"+name))
	}
	cfg, err := config.Load(config.Options{Path: os.Args[len(os.Args)-1], Environ: environ})
	if err != nil {
		return fmt.Errorf("load configuration: %w", err)
	}
	log, err := zap.NewDevelopment(zap.IncreaseLevel(zap.WarnLevel))
	if err != nil {
		return fmt.Errorf("make logger: %w", err)
	}
	b, err := bridge.New(cfg, log, bridge.WithHistory(bytes))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return b.Run(ctx)
}
