//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/bench/floor"
)

// job is what a child process is to do: the first line that it reads.
type job struct {
	Role    string   // bridge, floor or clients
	Config  string   // bridge: its file
	Environ []string // bridge: settings over it
	URL     string   // floor: the database
	Floor   floor.Options

	Address   string // clients: host:port of the server
	Channel   string // clients: what to subscribe to; empty is the floor
	Count     int    // clients: as users 1 to Count
	Authority string // clients: the certificate to trust; empty is no TLS
}

// roleVariable marks a child in its environment.
const roleVariable = "ROWFEED_BENCH_CHILD"

// maxFiles is how many descriptors the largest benchmark needs in one process.
const maxFiles = 16 << 10

// runChild does the job that in begins with, and answers the commands that follow, until in ends.
func runChild(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return errors.New("read job: nothing there")
	}
	var j job
	if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	if err := raiseFiles(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	does := commands{
		"cpu": cpu, "io": written, "rss": rss, "gc": gc, "heap": heap, "profile": (&profiler{}).turn,
	}
	failed := make(chan error, 1)
	var greeting string
	var err error
	switch j.Role {
	case "bridge":
		err = startBridge(ctx, j, failed)
	case "floor":
		greeting, err = startFloor(ctx, j, failed)
	case "clients":
		err = startClients(ctx, j, failed, does)
	default:
		err = fmt.Errorf("no role %q", j.Role)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ok", greeting)
	does.answer(lines, out)
	if j.Role == "clients" {
		return nil // the kernel hangs up faster than we
	}
	cancel()
	return <-failed
}

// commands are what a child can be asked, by name; each takes what follows its name.
type commands map[string]func(string) (string, error)

// answer answers each line with one that begins with ok or error, until there are no more.
func (c commands) answer(lines *bufio.Scanner, out io.Writer) {
	for lines.Scan() {
		name, arg, _ := strings.Cut(lines.Text(), " ")
		answer, err := "", fmt.Errorf("no command %q", name)
		if do := c[name]; do != nil {
			answer, err = do(arg)
		}
		if err != nil {
			fmt.Fprintln(out, "error", strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		fmt.Fprintln(out, "ok", answer)
	}
}

func raiseFiles() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read limit of open files: %w", err)
	}
	if limit.Cur >= maxFiles {
		return nil
	}
	limit.Cur, limit.Max = maxFiles, max(limit.Max, maxFiles)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise limit of open files: %w: run `ulimit -n %d` first, or take -short", err, maxFiles)
	}
	return nil
}

func startBridge(ctx context.Context, j job, failed chan error) error {
	cfg, err := loadConfig(j)
	if err != nil {
		return err
	}
	log, err := zap.NewDevelopment(zap.IncreaseLevel(zap.WarnLevel))
	if err != nil {
		return err
	}
	b, err := bridge.New(cfg, log)
	if err != nil {
		return err
	}
	go func() { failed <- b.Run(ctx) }()
	select {
	case <-b.Ready():
		return nil
	case err := <-failed:
		return err
	}
}

func loadConfig(j job) (*config.Config, error) {
	cfg, err := config.Load(config.Options{Path: j.Config, Environ: j.Environ})
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	if problems := cfg.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("check configuration: %w", cfg.Locate(problems))
	}
	return cfg, nil
}

func startFloor(ctx context.Context, j job, failed chan error) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { failed <- floor.Serve(ctx, j.URL, l, j.Floor) }()
	return l.Addr().String(), nil
}

// startClients connects the subscribers and returns when all are live.
func startClients(ctx context.Context, j job, failed chan error, does commands) error {
	s := newSwarm(j)
	go func() { failed <- s.run(ctx) }()
	await := func(what string, done func() bool) error {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for limit := time.After(patience); !done(); {
			select {
			case err := <-failed:
				failed <- err
				return err
			case <-limit:
				return fmt.Errorf("wait for %s: not there after %s, events: %d", what, patience, s.got.Load())
			case <-tick.C:
			}
		}
		return nil
	}
	does["await"] = func(arg string) (string, error) {
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return "", err
		}
		return "", await(arg+" events", func() bool { return s.got.Load() >= n })
	}
	does["got"] = func(string) (string, error) { return strconv.FormatInt(s.got.Load(), 10), nil }
	does["beats"] = func(string) (string, error) { return strconv.FormatInt(s.beats.Load(), 10), nil }
	does["steps"] = s.steps
	return await("subscribers", func() bool { return s.live.Load() == int64(j.Count) })
}

// steps answers with the last step that each user heard of. It is asked when nothing is on its way any more.
func (s *swarm) steps(string) (string, error) {
	last := make([]int, len(s.subs))
	for i, c := range s.subs {
		last[i] = c.step
	}
	b, err := json.Marshal(last)
	return string(b), err
}
