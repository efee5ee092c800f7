package change

import (
	"strings"
	"testing"
)

func TestCheckServer(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"14.23": "", "15.18 (Debian 15.18-0+deb12u1)": "", "18beta1": "", "19devel": "", "100.1": "",
		"13.23":    "PostgreSQL 13 is too old: rowfeed needs 14 or newer",
		"9.6.24":   "PostgreSQL 9 is too old",
		"":         "does not say",
		"pooler 2": "does not say",
	} {
		err := CheckServer(version)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", version, err, want)
		}
	}
}
