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

// Where distributions keep the server binaries, which are not in PATH: Debian, Red Hat (PGDG), Homebrew.
var layouts = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// Find returns the directory of the server binaries: the one that ROWFEED_PGBIN names, else the newest version that
// the machine's packages have installed, else that in PATH, else a downloaded one. The download needs some 10 MB once
// and is kept in the user's cache directory.
func Find(ctx context.Context) (string, error) {
	if dir := os.Getenv(BinEnv); dir != "" {
		if !hasServer(dir) {
			return "", fmt.Errorf("find postgres: %s=%s has no initdb and postgres: name their directory", BinEnv, dir)
		}
		return dir, nil
	}
	if dir := installed(layouts); dir != "" {
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
	dir, err := download(ctx, cache)
	if err != nil {
		return "", errors.Join(errors.New("find postgres: no server binaries on this machine: install them "+
			"(Debian, Ubuntu: apt-get install postgresql; Homebrew: brew install postgresql@17), or set "+BinEnv+
			" to their directory"), err)
	}
	return dir, nil
}

// installed returns the newest directory with server binaries that the patterns match.
func installed(patterns []string) string {
	var dirs []string
	for _, p := range patterns {
		found, _ := filepath.Glob(p)
		dirs = append(dirs, slices.DeleteFunc(found, func(d string) bool { return !hasServer(d) })...)
	}
	if len(dirs) == 0 {
		return ""
	}
	return slices.MaxFunc(dirs, func(a, b string) int { return cmp.Compare(version(a), version(b)) })
}

var number = regexp.MustCompile(`\d+(\.\d+)?`)

// version reads the version from the path of a package's directory.
func version(dir string) float64 {
	v, _ := strconv.ParseFloat(number.FindString(dir), 64)
	return v
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}
