package schema_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"nalar.internal/rowfeed/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var update = flag.Bool("update", false, "write the golden files instead of comparing them")

// golden compares a text with a file that the client's tests compile or validate.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("../client/test/types", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("%s is not current: look at the difference, then go test ./schema -update", name)
	}
}
