package operate

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// The operator's listener answers to its own name, to no other site's page, and to an operator's token.
func TestGuard(t *testing.T) {
	t.Parallel()
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	h := Guard("127.0.0.1:9090", func(token string) (string, bool) { return "7", token == "operator" }, next)
	for _, tt := range []struct {
		name, path, host, site, authorization, origin string
		status                                        int
	}{
		{"operator", "/metrics", "127.0.0.1:9090", "", "Bearer operator", "", 204},
		{"by name", "/metrics", "localhost:9090", "none", "Bearer operator", "", 204},
		{"probe", "/readyz", "127.0.0.1:9090", "", "", "", 204},
		{"no probe", "/metricz", "127.0.0.1:9090", "", "", "", 401},
		{"no token", "/metrics", "127.0.0.1:9090", "", "", "", 401},
		{"a user's token", "/metrics", "127.0.0.1:9090", "", "Bearer user", "", 401},
		{"token of another kind", "/metrics", "127.0.0.1:9090", "", "Basic operator", "", 401},
		{"rebound name", "/metrics", "evil.example:9090", "", "Bearer operator", "", 421},
		{"rebound name, probe", "/readyz", "evil.example", "", "", "", 421},
		{"another address", "/metrics", "192.0.2.1:9090", "", "Bearer operator", "", 421},
		{"page of another site", "/metrics", "127.0.0.1:9090", "cross-site", "Bearer operator", "", 403},
		{"own page", "/metrics", "127.0.0.1:9090", "same-origin", "Bearer operator", "http://127.0.0.1:9090", 204},
		{"page of another origin", "/metrics", "127.0.0.1:9090", "", "Bearer operator", "https://evil.example", 403},
		{"page of another port", "/metrics", "127.0.0.1:9090", "", "Bearer operator", "http://127.0.0.1:8080", 403},
		{"opaque page", "/metrics", "127.0.0.1:9090", "", "Bearer operator", "null", 403},
		{"page of a sister site", "/readyz", "127.0.0.1:9090", "same-site", "", "", 403},
	} {
		r := httptest.NewRequest(http.MethodGet, tt.path, nil)
		r.Host = tt.host
		if tt.site != "" {
			r.Header.Set("Sec-Fetch-Site", tt.site)
		}
		if tt.authorization != "" {
			r.Header.Set("Authorization", tt.authorization)
		}
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%s: got %d, want %d", tt.name, w.Code, tt.status)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: security headers are missing", tt.name)
		}
	}
}
