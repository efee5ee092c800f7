package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"nalar.internal/rowfeed/test/erp"
	"nalar.internal/rowfeed/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestRun(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if err := erp.Install(t.Context(), db.Connect(t)); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	args := []string{"--rate", "100", "--for", "1s", "--users", "2", db.URLFor(erp.Role)}
	if err := run(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	var result struct {
		Commits int64
		Rows    map[string]erp.Ops
	}
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
		t.Fatalf("%v in %s", err, &stdout)
	}
	if result.Commits == 0 || len(result.Rows) == 0 {
		t.Errorf("nothing was done: %s", &stdout)
	}
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no URL":  {nil, "give the URL"},
		"bad URL": {[]string{"postgres://:x"}, "read database URL"},
		"no one there": {[]string{"--for", "1s", "postgres://erp@127.0.0.1:1/nalar?sslmode=disable"},
			"read people"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), tc.args, &stdout, &stderr)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}
