package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	errPortTaken  = errors.New("port is taken")
	errStillInUse = errors.New("data directory is still in use")
)

// process is one life of the server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and was waited for
}

// maxSocketPath is the longest path of a Unix socket that all systems take, its file name included.
const maxSocketPath = 100

// launch starts postgres and waits until it accepts connections. s.mu is held, or nobody else knows s yet.
func (s *Server) launch(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "server.log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open server log: %w", err)
	}
	defer log.Close()
	begin, err := log.Seek(0, 2)
	if err != nil {
		return fmt.Errorf("open server log: %w", err)
	}

	cmd := s.command("postgres", append([]string{"-D", s.data()}, s.settings()...)...)
	cmd.Stdout, cmd.Stderr = log, log
	p, err := run(cmd)
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	if err := s.waitReady(ctx, p); err != nil {
		p.stop()
		out, _ := os.ReadFile(log.Name())
		return startError(err, string(out[min(begin, int64(len(out))):]))
	}
	s.proc = p
	return nil
}

// run starts the command on a thread that lives as long as the command does: the parent-death signal is sent when the
// thread that forked ends, not the process (prctl(2), PR_SET_PDEATHSIG).
func run(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() { // ends when the process does: whoever has p stops it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
			close(p.done)
		}
	}()
	return p, <-started
}

// waitReady waits as pg_ctl does: for the line that the server writes into postmaster.pid. A connection would prove
// less: it might reach somebody else's server on the same port.
func (s *Server) waitReady(ctx context.Context, p *process) error {
	pid := strconv.Itoa(p.cmd.Process.Pid)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		text, _ := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
		lines := strings.Split(string(text), "\n")
		if len(lines) >= 8 && lines[0] == pid {
			if status := strings.TrimSpace(lines[7]); status == "ready" || status == "standby" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return errors.New("it ended")
		case <-tick.C:
		}
	}
}

func startError(err error, log string) error {
	switch {
	case strings.Contains(log, "Address already in use"):
		err = errPortTaken
	case strings.Contains(log, "is still in use"), strings.Contains(log, `lock file "postmaster.pid" already exists`):
		err = errStillInUse
	}
	if len(log) > 2000 {
		log = "… " + log[len(log)-2000:]
	}
	return fmt.Errorf("start postgres: %w\n%s", err, strings.TrimSpace(log))
}

func (p *process) signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
		return p.cmd.Process.Signal(sig)
	}
}

// stop ends the process: fast shutdown, then immediate, then by force.
func (p *process) stop() {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		_ = p.signal(sig) // it may have ended by itself
		_ = p.signal(syscall.SIGCONT)
		select {
		case <-p.done:
			return
		case <-time.After(stopTimeout):
		}
	}
	<-p.done
}

// initdb makes the database cluster, unless there is one.
func (s *Server) initdb(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(s.data(), "PG_VERSION")); err == nil {
		return nil
	}
	cmd := s.command("initdb", "-D", s.data(), "-U", Superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := run(cmd)
	if err != nil {
		return fmt.Errorf("run initdb: %w", err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.stop()
		return fmt.Errorf("run initdb: %w", ctx.Err())
	}
	if !cmd.ProcessState.Success() {
		return fmt.Errorf("run initdb: %s\n%s", cmd.ProcessState, strings.TrimSpace(out.String()))
	}
	return nil
}

// command prepares a server binary. It gets no PG* variable of ours.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.opt.BinDir, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "HOME=" + s.dir, "PATH=" + s.opt.BinDir + ":" + os.Getenv("PATH")}
	if libs := os.Getenv("LD_LIBRARY_PATH"); libs != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+libs)
	}
	cmd.SysProcAttr = s.account.attributes()
	return cmd
}

// settings returns the server's settings as arguments.
func (s *Server) settings() []string {
	all := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(s.port),
		"unix_socket_directories": s.dir,
		"max_connections":         "200",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"log_checkpoints":         "off",
	}
	if len(s.dir) > maxSocketPath-len("/.s.PGSQL.65535.lock") {
		all["unix_socket_directories"] = ""
	}
	if !s.opt.Durable {
		all["fsync"], all["full_page_writes"] = "off", "off"
	}
	maps.Copy(all, s.opt.Settings)
	var args []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}
