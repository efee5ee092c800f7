package change_test

import (
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

func TestParseCursor(t *testing.T) {
	t.Parallel()
	want := change.Cursor{Epoch: "7f3a", Xid: 4711, Nonce: "x9"}
	if got, ok := change.ParseCursor(want.String()); !ok || got != want {
		t.Errorf("%s is read as %+v", want, got)
	}
	for _, text := range []string{
		"", ":", "::", "a:1", "a:1:", ":1:b", "a::b", "a:1:b:c", "a:-1:b", "a:+1:b", "a:1_0:b", "a:!:b", "A:1:b", "a:1:b ", "a:1:b\n", "a:1:\xff",
		"a:zzzzzzzzzzzzzzzz:b", strings.Repeat("a", 61) + ":1:b", "a:1:'; drop table change_1; --",
	} {
		if c, ok := change.ParseCursor(text); ok {
			t.Errorf("%q is taken for %+v", text, c)
		}
	}
}

// FuzzCursor: a text is a cursor whose own text is the same cursor, and can stand in a frame and in a stream as it is;
// or it is none.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"7f3a:3mv:x9", "a:1:b", "a:0001:b", "a:Z:b", "a:1y2p0ij32e8e7:b", "a:1:b:c", "a:\u0661:b", "?", "a:1:b\r\nid: x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := change.ParseCursor(text)
		if !ok {
			if c != (change.Cursor{}) {
				t.Errorf("%q is none, and yet %+v", text, c)
			}
			return
		}
		canonical := c.String()
		if again, ok := change.ParseCursor(canonical); !ok || again != c {
			t.Errorf("%q is %+v, whose text %q is %+v", text, c, canonical, again)
		}
		if len(canonical) > 64 || strings.Trim(canonical, "abcdefghijklmnopqrstuvwxyz0123456789:") != "" || strings.Count(canonical, ":") != 2 {
			t.Errorf("%q has the text %q", text, canonical)
		}
		if text != strings.ToLower(text) && !strings.EqualFold(text, canonical) && !strings.Contains(text, ":0") {
			t.Errorf("%q and %q are one cursor", text, canonical)
		}
	})
}
