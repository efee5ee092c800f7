// Package pgserver starts and stops a real PostgreSQL server of its own, for tests and for the demo: on a free loopback
// port and a socket in a directory of its own, with trust authentication, and never outliving the process that started
// it (on Linux even when that is killed).
//
// The binaries are those of the machine; where there are none they are downloaded.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long Stop waits for each way to shut down before it takes the next harder one.
const stopTimeout = 5 * time.Second

// portTries is how often Start takes another port when the one it chose was taken meanwhile.
const portTries = 5

// Superuser is the role that initdb creates.
const Superuser = "postgres"

// Options says what server to start. The zero value is a fast, throw-away one.
type Options struct {
	// Dir holds the data directory, the socket and the log. Data that is already there is used again. Empty: a
	// temporary one, which Stop removes.
	Dir string
	// BinDir holds initdb and postgres. Empty: found as Find says.
	BinDir string
	// Durable keeps fsync and full_page_writes on, for tests that crash the machine's promises. Otherwise they are off.
	Durable bool
	// Settings are server settings (postgresql.conf), and win over all others.
	Settings map[string]string
}

// Server is a running PostgreSQL server. Its methods may be called at the same time.
type Server struct {
	opt     Options
	dir     string
	port    int
	account *account
	lock    *os.File // held while a temporary directory is in use

	mu   sync.Mutex // serialises Stop and Restart
	proc *process
	gone bool // Stop was called
}

// Start makes a database cluster if there is none yet and starts its server; it returns when the server accepts
// connections. ctx bounds the start, not the server's life: that ends with Stop.
func Start(ctx context.Context, opt Options) (*Server, error) {
	if opt.BinDir == "" {
		dir, err := Find(ctx)
		if err != nil {
			return nil, err
		}
		opt.BinDir = dir
	}
	acc, err := serverAccount()
	if err != nil {
		return nil, err
	}
	s := &Server{opt: opt, account: acc}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		s.removeDir()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	if err := s.initdb(ctx); err != nil {
		return err
	}
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.port = port
		err = s.launch(ctx)
		if err == nil || !errors.Is(err, errPortTaken) || try == portTries {
			return err
		}
	}
}

// URL returns a connection URL for the database and role over TCP.
func (s *Server) URL(db, user string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(user), Path: "/" + db, RawQuery: "sslmode=disable",
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
	}
	return u.String()
}

// Port returns the TCP port on 127.0.0.1; it stays the same over restarts.
func (s *Server) Port() int { return s.port }

// Major returns the server's major version, such as 15.
func (s *Server) Major() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.data(), "PG_VERSION"))
	if err != nil {
		return 0, fmt.Errorf("read the server's version: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Dir returns the directory of the data directory (data), the log (server.log) and the socket.
func (s *Server) Dir() string { return s.dir }

// Done returns a channel that is closed when the server that runs now has ended, for whatever reason.
func (s *Server) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.done
}

// Kill sends a signal to the server's first process: SIGQUIT is a crash without flushing, SIGKILL leaves its children
// to find out, SIGSTOP stalls new connections only. It doesn't wait; Done does.
func (s *Server) Kill(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.proc.signal(sig); err != nil {
		return fmt.Errorf("signal postgres: %w", err)
	}
	return nil
}

// Restart starts the server again, on the same port and data; one that still runs is stopped first.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return errors.New("restart postgres: it was stopped: start a new one")
	}
	s.proc.stop()
	for {
		err := s.launch(ctx)
		// After SIGKILL the children of the dead server still hold its port and shared memory for a moment.
		if err == nil || !errors.Is(err, errPortTaken) && !errors.Is(err, errStillInUse) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("restart postgres: %w", errors.Join(ctx.Err(), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop shuts the server down, fast first and harder when that takes too long, and removes a temporary directory. It
// may be called more than once.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return
	}
	s.gone = true
	s.proc.stop()
	s.removeDir()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return 0, fmt.Errorf("find free port: %w", err)
	}
	return port, nil
}
