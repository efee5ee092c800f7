package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const tailLong = `Prints the events that a user is sent, as they happen: one line each, or with --json the frames
as they are.

It connects to a running bridge as a browser would, so it shows what the token's user may see and no
more. A dropped connection is made anew, and what was missed meanwhile is shown; where that can't be
told it says so. It stops on Ctrl-C, and where coming back is of no use: a bad token, an origin or
address that is not let in.

The token is --token or ROWFEED_TOKEN; with --user it is made as rowfeed token makes it, afresh for each
connection. The bridge is --url, else where server.listen says, on this machine.`

const tailExample = `  rowfeed tail stock --user 42
  rowfeed tail stock/stock-levels/17 --user 42
  rowfeed tail approvals --json --url wss://events.example --token "$TOKEN" | jq .data`

func newTailCommand(env *environment) *cobra.Command {
	var o struct {
		token       tokenOptions
		json        bool
		url, bearer string
	}
	cmd := &cobra.Command{
		Use:     "tail CHANNEL[/RESOURCE[/KEY]]",
		Short:   "Print a user's events in this terminal",
		Long:    tailLong,
		Example: tailExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("tail wants one channel: write CHANNEL, CHANNEL/RESOURCE or CHANNEL/RESOURCE/KEY")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := env.endpoint(o.url, args[0])
			if err != nil {
				return err
			}
			token, err := env.tokens(o.bearer, o.token)
			if err != nil {
				return err
			}
			var p printer = &lines{out: env.stdout, colour: colourful(env)}
			if o.json {
				p = &frames{out: env.stdout}
			}
			t := &tail{address: address, token: token, printer: p, notes: env.stderr, wait: fullJitter}
			return t.run(cmd.Context())
		},
	}
	o.token.flags(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print the frames as they are, one a line")
	cmd.Flags().StringVar(&o.url, "url", "", "the bridge's `address`, such as ws://localhost:8080 (default server.listen)")
	cmd.Flags().StringVar(&o.bearer, "token", "", "the `token` to connect with (default ROWFEED_TOKEN)")
	return cmd
}

// endpoint makes the address of the plain endpoint of a path of channel, resource and key.
func (e *environment) endpoint(base, path string) (*url.URL, error) {
	parts := strings.SplitN(strings.Trim(path, "/"), "/", 3)
	for i, part := range parts {
		if part == "" {
			return nil, fmt.Errorf("%q is no channel: write CHANNEL, CHANNEL/RESOURCE or CHANNEL/RESOURCE/KEY", path)
		}
		parts[i] = url.PathEscape(part)
	}
	if base == "" {
		cfg, err := e.config("server")
		if err != nil {
			return nil, fmt.Errorf("%w\nwithout --url the bridge is where the configuration says: give it, or correct that", err)
		}
		base = local(cfg.Server.Listen, cfg.Server.TLS.CertFile != "")
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.RawQuery != "" {
		return nil, fmt.Errorf("%q is not a bridge's address: write --url ws://host:port or wss://host", base)
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http", "https":
		u.Scheme = "ws" + strings.TrimPrefix(u.Scheme, "http")
	default:
		return nil, fmt.Errorf("%q is not a bridge's address: write --url ws://host:port or wss://host", base)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.JoinPath(append([]string{"ws"}, parts...)...), nil
}

// local is where a bridge on this machine is reached that listens on address.
func local(address string, tls bool) string {
	host, port, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "ws"
	if tls {
		scheme = "wss"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// tokens returns what gives the token for a connection.
func (e *environment) tokens(bearer string, o tokenOptions) (func() (string, error), error) {
	if o.user != "" {
		if bearer != "" {
			return nil, errors.New("--token and --user both say who asks: give one of them")
		}
		cfg, err := e.config("auth")
		if err != nil {
			return nil, err
		}
		fresh := func() (string, error) { return mint(cfg.Auth, o, time.Now()) }
		_, err = fresh() // tells at once what is wrong with the flags
		return fresh, err
	}
	if bearer == "" {
		bearer = strings.TrimSpace(e.variable("ROWFEED_TOKEN"))
	}
	if bearer == "" {
		return nil, errors.New("no token: give one with --token or ROWFEED_TOKEN, or have one made with --user")
	}
	return func() (string, error) { return bearer, nil }, nil
}

// printer shows the frames of events.
type printer interface {
	print(frame []byte) error
}

// tail keeps a connection to a plain endpoint and prints what comes.
type tail struct {
	address *url.URL
	token   func() (string, error)
	printer printer
	notes   io.Writer // what is not an event: lost connections
	wait    func(ctx context.Context, attempt int) error

	cursor string // of the newest event, to resume from
	seen   recent // events that were printed: a resumed connection begins with some of them
}

// run prints events until ctx ends (nil) or coming back is of no use (an error that says what to do).
func (t *tail) run(ctx context.Context) error {
	for attempt, ever := 0, false; ; attempt++ {
		opened, err := t.connect(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var final *finalError
		if errors.As(err, &final) || !ever && !opened {
			return err
		}
		if ever = true; opened {
			attempt = 0
		}
		if opened && t.cursor == "" {
			err = fmt.Errorf("%w: what happens until it is back is not shown", err)
		}
		fmt.Fprintf(t.notes, "rowfeed: %s: reconnecting\n", err)
		if err := t.wait(ctx, attempt); err != nil {
			return nil
		}
	}
}
