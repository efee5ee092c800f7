package pgserver

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dirPattern = "rowfeed-pg-"
	lockName   = "in-use"
)

// makeDir makes the server's directory and gives it to the account that the server runs as.
func (s *Server) makeDir() error {
	if s.opt.Dir == "" {
		sweep(os.TempDir())
		if err := s.makeTemp(); err != nil {
			return fmt.Errorf("make server directory: %w", err)
		}
	} else {
		dir, err := filepath.Abs(s.opt.Dir)
		if err != nil {
			return fmt.Errorf("make server directory: %w", err)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make server directory: %w", err)
		}
		s.dir = dir
	}
	if s.account == nil {
		return nil
	}
	if err := os.Chown(s.dir, int(s.account.uid), int(s.account.gid)); err != nil {
		s.removeDir()
		return fmt.Errorf("give server directory to %s: %w", s.account.name, err)
	}
	return nil
}

func (s *Server) makeTemp() error {
	dir, err := os.MkdirTemp("", dirPattern)
	if err != nil {
		return err
	}
	s.dir = dir
	s.lock, err = os.Create(filepath.Join(dir, lockName))
	if err == nil {
		err = unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		s.removeDir()
	}
	return err
}

// removeDir removes a temporary directory.
func (s *Server) removeDir() {
	if s.opt.Dir != "" {
		return
	}
	_ = os.RemoveAll(s.dir) // what can't be removed now is swept by the next start
	if s.lock != nil {
		_ = s.lock.Close()
	}
}

// sweep removes the directories of servers whose starter was killed: nobody holds their lock any more.
func sweep(tmp string) {
	locks, _ := filepath.Glob(filepath.Join(tmp, dirPattern+"*", lockName))
	for _, name := range locks {
		f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue // somebody else's, or gone
		}
		info, err := f.Stat()
		// A young one may be about to be locked, or its server about to end.
		if err == nil && time.Since(info.ModTime()) > time.Minute &&
			unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(name))
		}
		_ = f.Close()
	}
}
