package pgserver

import (
	"archive/zip"
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeBinaries makes a directory that looks like one with server binaries.
func fakeBinaries(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestInstalledTakesTheNewest(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	fakeBinaries(t, filepath.Join(root, "9.6", "bin"))
	want := fakeBinaries(t, filepath.Join(root, "17", "bin"))
	if err := os.MkdirAll(filepath.Join(root, "18", "bin"), 0o755); err != nil { // the client's package alone
		t.Fatal(err)
	}
	if got := installed([]string{filepath.Join(root, "*", "bin")}); got != want {
		t.Errorf("found %q, want %q", got, want)
	}
	if got := installed([]string{filepath.Join(root, "nothing", "*")}); got != "" {
		t.Errorf("found %q where nothing is", got)
	}
}

func TestFindObeysTheEnvironment(t *testing.T) {
	want := fakeBinaries(t, t.TempDir())
	t.Setenv(BinEnv, want)
	if got, err := Find(t.Context()); err != nil || got != want {
		t.Errorf("found %q, %v, want %q", got, err, want)
	}
	t.Setenv(BinEnv, t.TempDir())
	if _, err := Find(t.Context()); err == nil || !strings.Contains(err.Error(), BinEnv) {
		t.Errorf("error %v, want one that names %s", err, BinEnv)
	}
}

// TestDownload has the library download from a repository whose archive holds programs by the servers' names.
func TestDownload(t *testing.T) {
	binaries, err := os.ReadFile(filepath.Join("testdata", "binaries.txz"))
	if err != nil {
		t.Fatal(err)
	}
	var jar bytes.Buffer
	archive := zip.NewWriter(&jar)
	entry, err := archive.Create("postgres.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Write(binaries); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	fetched := 0
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".jar") {
			http.NotFound(w, r)
			return
		}
		fetched++
		_, _ = w.Write(jar.Bytes())
	}))
	defer func() {
		repository.Close()
		http.DefaultClient.CloseIdleConnections() // the library's client
	}()
	t.Setenv(RepositoryEnv, repository.URL)
	cache := t.TempDir()
	for range 2 {
		dir, err := download(t.Context(), cache)
		if err != nil {
			t.Fatal(err)
		}
		if !hasServer(dir) {
			t.Errorf("no server binaries in %s", dir)
		}
	}
	if fetched != 1 {
		t.Errorf("fetched %d times, want once and then the cache", fetched)
	}
	repository.Close()
	if _, err := download(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "download postgres") {
		t.Errorf("error %v of an unreachable repository", err)
	}
}
