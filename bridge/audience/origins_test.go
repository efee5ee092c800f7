package audience

import (
	"strings"
	"testing"
)

func TestOrigins(t *testing.T) {
	t.Parallel()
	o, err := NewOrigins([]string{
		"https://erp.nalar.example", "http://LOCALHOST:3000", "https://*.apps.example", "https://*.dev.example:8443",
		"https://[::1]:8443", "capacitor://localhost", "http://old.example:80",
	})
	if err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]bool{
		"https://erp.nalar.example":                             true,
		"https://erp.nalar.example:443":                         true,
		"HTTPS://ERP.Nalar.Example":                             true,
		"http://localhost:3000":                                 true,
		"https://a.apps.example":                                true,
		"https://xn--caf-dma.apps.example":                      true,
		"https://a.dev.example:8443":                            true,
		"https://[::1]:8443":                                    true,
		"capacitor://localhost":                                 true,
		"http://old.example":                                    true,
		"":                                                      false,
		"null":                                                  false,
		"*":                                                     false,
		"https://":                                              false,
		"http://erp.nalar.example":                              false,
		"https://erp.nalar.example:8443":                        false,
		"https://erp.nalar.example.":                            false,
		"https://erp.nalar.example/":                            false,
		"https://erp.nalar.example?":                            false,
		"https://erp.nalar.example#":                            false,
		"https://u@erp.nalar.example":                           false,
		"https://erp.nalar.example@evil.example":                false,
		"https://erp.nalar.example.evil.example":                false,
		"https://evil-erp.nalar.example":                        false,
		"//erp.nalar.example":                                   false,
		"erp.nalar.example":                                     false,
		"http://localhost":                                      false,
		"https://apps.example":                                  false,
		"https://.apps.example":                                 false,
		"https://*.apps.example":                                false,
		"https://a.b.apps.example":                              false,
		"https://evil-apps.example":                             false,
		"https://a.apps.example.evil.example":                   false,
		"https://evil.example%2f.apps.example":                  false,
		"https://evil.example\\.apps.example":                   false,
		"https://a.apps.example:8443":                           false,
		"https://a.dev.example":                                 false,
		"https://erp.nalar.example, https://e.vi":               false,
		"https://" + strings.Repeat("a", 600) + ".apps.example": false,
	} {
		if got := o.Allowed(origin); got != want {
			t.Errorf("%q: %v, want %v", origin, got, want)
		}
	}
}

func TestNewOriginsRefuses(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{
		"", "*", "null", "erp.nalar.example", "https://", "https://*", "https://*.", "https://a.*.example",
		"https://*.*.example", "https://a*.example", "https://erp.nalar.example/", "https://erp.nalar.example/path",
		"https://u:p@erp.nalar.example", "https://café.example", "https://erp.nalar.example:port",
	} {
		_, err := NewOrigins([]string{"https://ok.example", entry})
		if err == nil || !strings.HasPrefix(err.Error(), "server.allowed_origins[1]: ") {
			t.Errorf("%q: %v", entry, err)
		}
	}
}

func FuzzOrigins(f *testing.F) {
	f.Add("https://a.nalar.example:443")
	f.Add("null")
	f.Add("https://evil.example#.nalar.example")
	o, err := NewOrigins([]string{"https://*.nalar.example"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		if !o.Allowed(origin) {
			return
		}
		rest, ok := strings.CutPrefix(strings.ToLower(origin), "https://")
		label, ok2 := strings.CutSuffix(strings.TrimSuffix(strings.TrimSuffix(rest, ":443"), ":"), ".nalar.example")
		if !ok || !ok2 || label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("allowed %q", origin)
		}
	})
}
