// Command rowfeed turns committed row changes of an ERP's PostgreSQL into live updates in the browsers that may see
// them. `rowfeed --help` lists its verbs; each is a file of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on the shutdown is orderly; a second one ends the process the usual way.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code: 0 done, 1 an error (told on stderr, one line a problem), or
// what the verb documents.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return execute(ctx, &environment{stdin: stdin, stdout: stdout, stderr: stderr, environ: os.Environ()}, args)
}

// execute is run in a given environment.
func execute(ctx context.Context, env *environment, args []string) int {
	root := newRootCommand(env)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(env.stderr, "rowfeed: %s\n", strings.TrimRight(line, "\r\n"))
	}
	return 1
}
