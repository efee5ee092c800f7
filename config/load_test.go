package config

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// problems loads a file and returns all that is said of it.
func problems(t *testing.T, path string, environ ...string) (*Config, Problems) {
	t.Helper()
	c, err := Load(Options{Path: path, Environ: append([]string{""}, environ...)})
	found, _ := err.(Problems)
	if err != nil && found == nil {
		t.Fatalf("load %s: %v", path, err)
	}
	if c != nil {
		found = c.Locate(append(found, c.Validate()...))
	}
	return c, found
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			c, found := problems(t, file)
			got := found.Error() + "\n"
			if c != nil {
				if missing := c.Unavailable(); len(missing) > 0 {
					got += "unavailable:\n" + missing.Error() + "\n"
				}
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a password is in the messages")
			}
		})
	}
}

func TestGoodFiles(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"minimal", "anchors", "example"} {
		c, found := problems(t, "testdata/good/"+file+".yaml", "ROWFEED_AUTH_JWT_SECRET_FILE="+map[string]string{
			"anchors": "", "example": "testdata/keys/secret", "minimal": "testdata/keys/secret"}[file])
		if len(found) > 0 {
			t.Errorf("%s: %v", file, found)
		}
		if missing := c.Unavailable(); (len(missing) > 0) != (file == "example") {
			t.Errorf("%s: unavailable: %v", file, missing)
		}
	}
}

func TestExample(t *testing.T) {
	t.Parallel()
	c, found := problems(t, "testdata/good/example.yaml")
	if len(found) != 1 || found[0].Key != "auth.jwt.secret_file" || found[0].Line != 24 {
		t.Errorf("problems where the secret's file is not there: %v", found)
	}
	c.origin = origin{}
	if want := example(); !reflect.DeepEqual(*c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", *c, want)
	}
}

func TestKeepsCase(t *testing.T) {
	t.Parallel()
	c, _ := problems(t, "testdata/good/anchors.yaml")
	rules := c.Channels["purchase-orders"].Rules
	if want := map[string]string{"skuId": "skuId", "Number": "Number"}; !reflect.DeepEqual(rules[0].Data, want) {
		t.Errorf("data = %v", rules[0].Data)
	}
	if want := map[string]string{"Version": "1.0", "realm": "nalar"}; !reflect.DeepEqual(c.Auth.JWT.Claims, want) {
		t.Errorf("claims = %v", c.Auth.JWT.Claims)
	}
	if rules[1].Table != "Sales.PurchaseOrder" || rules[1].Event != "order_deleted" || rules[1].Operations[0] != "delete" {
		t.Errorf("merged rule = %+v", rules[1])
	}
	if want := "http://localhost:3000"; len(c.Server.AllowedOrigins) != 3 || c.Server.AllowedOrigins[2] != want {
		t.Errorf("origins = %q", c.Server.AllowedOrigins)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if c, err := Load(Options{Environ: []string{"A=b"}}); err != nil || c.Server.Drain != 30*time.Second {
		t.Errorf("no file, none named: %v", err)
	}
	for name, o := range map[string]Options{
		"--config":       {Path: "missing.yaml", Environ: []string{"A=b"}},
		"ROWFEED_CONFIG": {Environ: []string{"ROWFEED_CONFIG=missing.yaml"}},
	} {
		if c, err := Load(o); c != nil || err == nil || !strings.HasSuffix(err.Error(), "with "+name) {
			t.Errorf("missing file of %s: %v", name, err)
		}
	}
	if err := os.WriteFile(DefaultFile, []byte("server: {drain: 7s}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(Options{Environ: []string{"A=b"}}); err != nil || c.Server.Drain != 7*time.Second {
		t.Errorf("default file: %v", err)
	}
}

func TestDatabaseURL(t *testing.T) {
	t.Parallel()
	const file = "database: {url: postgres://file/x}"
	for _, test := range []struct{ file, environ, want, problem string }{
		{file, "ROWFEED_DATABASE_URL=postgres://own/x DATABASE_URL=postgres://shared/x", "postgres://own/x", ""},
		{file, "DATABASE_URL=postgres://shared/x PGHOST=pg", "postgres://file/x", ""},
		{"", "DATABASE_URL=postgres://shared/x PGHOST=pg", "postgres://shared/x", ""},
		{"", "PGHOST=pg", "", ""},
		{"", "", "", "database.url: is not set: " +
			"write postgres://user@host:5432/database, here or in ROWFEED_DATABASE_URL"},
		{"", "DATABASE_URL=mysql://x", "mysql://x", "database.url (DATABASE_URL): is not the address of a " +
			"PostgreSQL database: write postgres://user@host:5432/database, with % and two hex digits for special characters"},
	} {
		c, found := load(t, test.file, strings.Fields(test.environ)...)
		if got := found.Under("database").Error(); c.Database.URL != test.want || got != test.problem {
			t.Errorf("%+v: got %q, %s", test, c.Database.URL, got)
		}
	}
}

// load loads a text as a file.
func load(t *testing.T, text string, environ ...string) (*Config, Problems) {
	t.Helper()
	path := filepath.Join(t.TempDir(), DefaultFile)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return problems(t, path, environ...)
}

func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	path := filepath.Join(f.TempDir(), DefaultFile)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Options{Path: path, Environ: []string{""}})
		found, ok := err.(Problems)
		if err != nil && !ok {
			t.Fatalf("an error that names no key: %v", err)
		}
		if c != nil {
			found = append(append(found, c.Validate()...), c.Unavailable()...)
		}
		for _, p := range found {
			if p.Key == "" || p.What == "" || strings.ContainsAny(p.String(), "\n\r\x1b") {
				t.Errorf("problem %q", p)
			}
		}
	})
}
