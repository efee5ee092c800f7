package change_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

func TestKeyFromJSON(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`17`:                     "17",
		` 9007199254740993 `:     "9007199254740993",
		`1.50`:                   "1.50",
		`-3`:                     "-3",
		`"17"`:                   "17",
		`""`:                     "",
		`"a,\\b\u00e9"`:          `a,\bé`,
		`["a,\\b"]`:              `a,\b`,
		`[3,"A1"]`:               "3,A1",
		`[3,"A,1","\\",true,""]`: `3,A\,1,\\,true,`,
		`[false,0]`:              "false,0",
	} {
		if got, err := change.KeyFromJSON([]byte(raw)); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{``, `null`, `{}`, `{"a":1}`, `[]`, `[null]`, `[[1]]`, `[1,{}]`, `1 2`, `[1]]`,
		`"a`, `01`,
		`NaN`, strings.Repeat("[", 100_000)} {
		if got, err := change.KeyFromJSON([]byte(raw)); err == nil {
			t.Errorf("%.20s: %q, want an error", raw, got)
		}
	}
}

// TestKeyText holds different keys of the same columns to have different texts, the same from the row and from JSON.
func TestKeyText(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	seen := map[string][]string{}
	for range 20_000 {
		parts := make([]string, 3)
		raw := make([][]byte, 3)
		for i := range parts {
			for range rng.IntN(4) {
				parts[i] += string(`,\a`[rng.IntN(3)])
			}
			raw[i] = []byte(parts[i])
		}
		text := change.KeyText(raw...)
		if other, ok := seen[text]; ok && !slices.Equal(other, parts) {
			t.Fatalf("%q and %q are both %q", other, parts, text)
		}
		seen[text] = parts
		if back := change.KeyParts(text); !slices.Equal(back, parts) {
			t.Fatalf("%q is split into %q, want %q", text, back, parts)
		}
		sent, _ := json.Marshal(parts)
		if got, err := change.KeyFromJSON(sent); err != nil || got != text {
			t.Fatalf("%s: %q, %v, want %q", sent, got, err, text)
		}
	}
}

func FuzzKeyFromJSON(f *testing.F) {
	for _, seed := range []string{`17`, `"x"`, `[1,"a,\\"]`, `{`, `[[1]]`, `1e400`, `"\ud800"`, `[true,null]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		text, err := change.KeyFromJSON(raw)
		if err != nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("%q is taken for %q", raw, text)
		}
		// A key's own text, sent as a string, is the same key if it has one part.
		if raw[0] == '[' {
			return
		}
		sent, _ := json.Marshal(text)
		if again, err := change.KeyFromJSON(sent); err != nil || again != text {
			t.Fatalf("%q: %q, as a string %q, %v", raw, text, again, err)
		}
	})
}

func TestID(t *testing.T) {
	t.Parallel()
	c := change.Change{Xid: 36, LSN: 35}
	if got := c.ID("7f3a", "x"); !strings.HasPrefix(got, "7f3a-10-z-") || !strings.HasSuffix(got, "-x") {
		t.Errorf("id %q", got)
	}
	c.At = time.UnixMicro(1_700_000_000_123_456).UTC()
	if id, ok := change.ParseID(c.ID("7f3a", "x.old")); !ok ||
		id != (change.EventID{Epoch: "7f3a", Xid: c.Xid, LSN: c.LSN, At: c.At, Tag: "x.old"}) {
		t.Errorf("read as %+v", id)
	}
	for _, bad := range []string{"", "7f3a", "7f3a-1-2-3", "7f3a-1-2-3-", "7f3a-!-2-3-x", "-1-2-3-x", "7f3a-1-2-99999999999999-x"} {
		if id, ok := change.ParseID(bad); ok {
			t.Errorf("%q is read as %+v", bad, id)
		}
	}
	other := c
	other.At = c.At.Add(1000)
	if c.ID("e", "x") == other.ID("e", "x") {
		t.Error("the same id at another time")
	}
}
