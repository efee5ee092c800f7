package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Standby makes a copy of the server (pg_basebackup, which the server's packages bring) and starts it as a standby that
// streams from it, asynchronously, with the same settings. It is promoted by `select pg_promote()`.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	opt := s.opt
	opt.Dir = ""
	standby := &Server{opt: opt, account: s.account}
	if err := standby.makeDir(); err != nil {
		return nil, err
	}
	err := s.backup(ctx, standby)
	if err == nil {
		err = standby.start(ctx)
	}
	if err != nil {
		standby.removeDir()
		return nil, err
	}
	return standby, nil
}

// Demote has the server be a standby, which follows nobody, from its next start on.
func (s *Server) Demote() error {
	name := filepath.Join(s.data(), "standby.signal")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return fmt.Errorf("demote postgres: %w", err)
	}
	if s.account == nil {
		return nil
	}
	return os.Chown(name, int(s.account.uid), int(s.account.gid))
}

// backup copies the server's data to where the standby's will be, with what makes it one.
func (s *Server) backup(ctx context.Context, standby *Server) error {
	cmd := standby.command("pg_basebackup", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", Superuser, "-D", standby.data(),
		"--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "--no-sync")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := run(cmd)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("copy postgres: %w: install the server's package (Debian, Ubuntu: apt-get install postgresql)", err)
	}
	if err != nil {
		return fmt.Errorf("copy postgres: %w", err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.stop()
		return fmt.Errorf("copy postgres: %w", ctx.Err())
	}
	if !cmd.ProcessState.Success() {
		return fmt.Errorf("copy postgres: %s\n%s", cmd.ProcessState, strings.TrimSpace(out.String()))
	}
	return nil
}
