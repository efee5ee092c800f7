package schema_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/schema"
	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
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

// read makes the tables and reads them for a configuration.
func read(t *testing.T, sql, channels string) (*schema.Schema, *config.Config, error) {
	t.Helper()
	db := pgtest.New(t)
	db.Exec(t, sql)
	cfg := configure(t, channels)
	s, err := schema.Read(t.Context(), db.Connect(t), cfg)
	return s, cfg, err
}

func configure(t *testing.T, channels string) *config.Config {
	t.Helper()
	return rig.Load(t, `
database: {url: "postgres://rowfeed@localhost/erp"}
server: {listen: "127.0.0.1:8080"}
auth: {jwt: {algorithms: [HS256], secret: "`+rig.Secret+`", cookie: access_token}, user: "{user_id}", grants: ["role:all"]}
channels:
`+channels)
}
