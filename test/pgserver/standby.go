package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Standby makes a copy of the server and starts it as a standby that streams from it, asynchronously, with the same
// settings. It is promoted by `select pg_promote()`.
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
	if err := s.write("standby.signal", ""); err != nil {
		return fmt.Errorf("demote postgres: %w", err)
	}
	return nil
}

// backup copies the server's data to where the standby's will be, with what makes it one. It goes by the low-level
// functions (PostgreSQL manual, "Making a Base Backup Using the Low Level API"): not everywhere does pg_basebackup come with
// the server.
func (s *Server) backup(ctx context.Context, standby *Server) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres", Superuser))
	if err != nil {
		return fmt.Errorf("copy postgres: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	start, stop := "select pg_backup_start('standby', true)", "select labelfile from pg_backup_stop(false)"
	major, err := s.Major()
	if err != nil {
		return err
	}
	if major < 15 {
		start, stop = "select pg_start_backup('standby', true, false)", "select labelfile from pg_stop_backup(false, false)"
	}
	if _, err := conn.Exec(ctx, start); err != nil {
		return fmt.Errorf("begin the copy of postgres: %w", err)
	}
	if err := standby.copyData(s.data(), "."); err != nil {
		return fmt.Errorf("copy postgres: %w", err)
	}
	var label string
	if err := conn.QueryRow(ctx, stop).Scan(&label); err != nil {
		return fmt.Errorf("end the copy of postgres: %w", err)
	}
	if err := standby.copyData(s.data(), walDir); err != nil {
		return fmt.Errorf("copy postgres: %w", err)
	}
	if err := standby.write("backup_label", label); err != nil {
		return err
	}
	if err := standby.write("postgresql.auto.conf", fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%d user=%s'\n", s.port,
		Superuser)); err != nil {
		return err
	}
	return standby.Demote()
}

const walDir = "pg_wal"

// copyData copies what is in a folder of another server's data directory: of all of it everything but the write-ahead
// log and what belongs to the other server's life.
func (s *Server) copyData(from, folder string) error {
	return fs.WalkDir(os.DirFS(from), folder, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it may do without what is dropped while it is copied
		}
		if err != nil {
			return err
		}
		to := filepath.Join(s.data(), name)
		switch {
		case entry.IsDir():
			if err := os.Mkdir(to, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			return s.own(to)
		case folder == "." && (strings.HasPrefix(name, walDir+"/") || strings.HasPrefix(name, "postmaster.")):
			return nil
		}
		content, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return s.write(name, string(content))
	})
}

// write makes a file in the data directory.
func (s *Server) write(name, content string) error {
	path := filepath.Join(s.data(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return s.own(path)
}

// own gives a file to the account that the server runs as.
func (s *Server) own(path string) error {
	if s.account == nil {
		return nil
	}
	return os.Chown(path, int(s.account.uid), int(s.account.gid))
}
