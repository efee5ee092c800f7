package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/erp"
)

const demoLong = `demo starts everything that the main job needs, on this machine alone and with nothing to set up: a
PostgreSQL server in a temporary directory, a sample ERP with some thousand rows, its triggers, people
who work in it, the bridge, and a page that shows what each of three users may see, live.

Everything ends with Ctrl-C, and nothing is left behind.`

// demoOptions are the flags of the verb.
type demoOptions struct {
	port   int     // of the page; 0: any
	rate   float64 // changes a second
	bridge string  // a folder for the bridge's configuration; empty: the bridge runs here
}

func newDemoCommand(env *environment) *cobra.Command {
	opt := demoOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job: a sample ERP whose page follows its database",
		Long:  demoLong,
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opt.check(); err != nil {
				return err
			}
			return runDemo(cmd.Context(), env, opt)
		},
	}
	cmd.Flags().IntVar(&opt.port, "port", 8099, "loopback `port` of the page; another one when it is taken, 0 for any")
	cmd.Flags().Float64Var(&opt.rate, "rate", 3, "row `changes` a second in the sample ERP; 0 for none but your own")
	cmd.Flags().StringVar(&opt.bridge, "bridge", "", "write the bridge's configuration into this `folder`, and leave it to "+
		"you to start it, to kill it and to start it again")
	return cmd
}

func (o demoOptions) check() error {
	switch {
	case o.port < 0 || o.port > 65535:
		return fmt.Errorf("--port %d is no port: give one from 1 to 65535, or 0 for any", o.port)
	case !(o.rate >= 0 && o.rate <= 1000):
		return fmt.Errorf("--rate %v is out of range: give 0 to 1000 changes a second", o.rate)
	}
	return nil
}

// runDemo starts the parts in turn, runs them until ctx ends or one of them fails, and undoes everything.
func runDemo(ctx context.Context, env *environment, opt demoOptions) error {
	page, err := listenLoopback(opt.port)
	if err != nil {
		return err
	}
	defer page.Close()

	fmt.Fprintln(env.stdout, "rowfeed demo: starting PostgreSQL and the sample ERP …")
	stage, err := newDemoStage(ctx, page.Addr().String())
	if stage != nil {
		defer stage.close()
	}
	if err != nil {
		return quietEnd(ctx, err)
	}
	handler, err := newDemoServer(ctx, stage)
	if err != nil {
		return quietEnd(ctx, err)
	}
	return stage.diagnose(stage.perform(ctx, env, opt, page, handler))
}

// perform runs the bridge, the page and the people until ctx ends or one of them fails, and waits for their end.
func (s *demoStage) perform(
	ctx context.Context, env *environment, opt demoOptions, page net.Listener, h *demoServer,
) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.watch(ctx) })
	if opt.bridge == "" {
		node, err := s.node(env)
		if err != nil {
			return err
		}
		g.Go(func() error { return named("bridge", node.Run(ctx)) })
		select {
		case <-node.Ready():
		case <-ctx.Done():
			return g.Wait()
		}
	} else if err := s.handOver(env.stdout, opt.bridge); err != nil {
		return err
	}
	if opt.rate > 0 {
		g.Go(func() error { return s.work(ctx, opt.rate) })
		g.Go(func() error { return h.act(ctx) })
	}
	g.Go(func() error { return servePage(ctx, page, h) })
	welcome(env.stdout, page.Addr(), opt.rate, h.people)
	<-ctx.Done()
	fmt.Fprintf(env.stdout, "\nrowfeed demo: stopping …\n")
	return g.Wait()
}

// node makes the bridge.
func (s *demoStage) node(env *environment) (*bridge.Bridge, error) {
	log, err := env.logger(config.Log{Level: "warn", Format: "console"})
	if err != nil {
		return nil, err
	}
	node, err := bridge.New(s.cfg, log, bridge.WithDriftCheck(time.Second)) // a visitor does not wait a quarter of a minute
	if err != nil {
		return nil, fmt.Errorf("make bridge: %w", err)
	}
	return node, nil
}

// quietEnd takes an error that only says that ctx has ended as no error: the visitor pressed Ctrl-C.
func quietEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func named(part string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("run %s: %w", part, err)
}

// listenLoopback takes the port, or a free one where another program has it.
func listenLoopback(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil && port != 0 {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w: free a port and start again", err)
	}
	return l, nil
}

// servePage serves until ctx ends.
func servePage(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx }} // so that visits end, too
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve page: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		_ = srv.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve page: %w", err)
	}
	return nil
}

// welcome says where to look and what there is to see.
func welcome(w io.Writer, addr net.Addr, rate float64, people []*demoPerson) {
	busy := fmt.Sprintf("about %g row changes a second", rate)
	if rate == 0 {
		busy = "changes only when you make them"
	}
	fmt.Fprintf(w, "\n  Open   http://%s\n\n", addr)
	fmt.Fprintf(w, "  A sample ERP with %s. Look at it as each of three people,\n", busy)
	fmt.Fprintf(w, "  best in two windows side by side:\n\n")
	for _, p := range people {
		fmt.Fprintf(w, "    %-9s  %-20s  %s\n", p.Role, p.Name, p.Watch)
	}
	fmt.Fprintf(w, "\n  Then run the UPDATE on the page, and see it arrive where it may be seen and nowhere else.\n")
	fmt.Fprintf(w, "  Ctrl-C ends everything and leaves nothing behind.\n")
}

// work lets the people of the sample ERP work.
func (s *demoStage) work(ctx context.Context, rate float64) error {
	_, err := erp.Run(ctx, s.erp, erp.Options{Rate: rate, Seed: rand.Uint64()})
	return named("workload", err)
}
