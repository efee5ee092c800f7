package pgserver

import (
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
	pattern := []string{filepath.Join(root, "*", "bin")}
	if got := installed(pattern, ""); got != want {
		t.Errorf("found %q, want %q", got, want)
	}
	if got := installed(pattern, "9"); got != filepath.Join(root, "9.6", "bin") {
		t.Errorf("version 9 found at %q", got)
	}
	if got := installed(pattern, "16"); got != "" {
		t.Errorf("version 16 found at %q, want nothing", got)
	}
	if got := installed([]string{filepath.Join(root, "nothing", "*")}, ""); got != "" {
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
	t.Setenv(BinEnv, "")
	t.Setenv(VersionEnv, "8")
	if _, err := Find(t.Context()); err == nil || !strings.Contains(err.Error(), "no version 8") {
		t.Errorf("error %v, want one that names the version", err)
	}
}
