package session_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/rig"
)

// ask sends a request of any method without following redirects.
func ask(t *testing.T, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return res, string(b)
}

// Every page of both listeners says what browsers may do with it, and none says what serves it.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	operator := "Bearer " + rig.Token(map[string]any{"rowfeed_operator": true})
	for _, tt := range []struct {
		method, url string
		status      int
	}{
		{"GET", r.Addr + "/healthz", 200}, {"GET", r.Addr + "/readyz", 0}, {"HEAD", r.Addr + "/healthz", 200},
		{"GET", r.Addr + "/", 404}, {"GET", r.Addr + "/ws", 426}, {"GET", r.Addr + "/ws/a/b/c/d", 404},
		{"GET", r.Addr + "/sse", 400}, {"GET", r.Addr + "/sse/stock", 401}, {"GET", r.Addr + "/sse/none", 404},
		{"PUT", r.Addr + "/sse", 405}, {"POST", r.Addr + "/healthz", 405}, {"OPTIONS", r.Addr + "/sse", 204},
		{"GET", r.Addr + "//ws", 307}, {"GET", r.Admin + "/", 404}, {"GET", r.Admin + "/metrics", 200}, {"POST", r.Admin + "/metrics", 415},
		{"GET", r.Admin + "/healthz", 200},
	} {
		res, _ := ask(t, tt.method, "http://"+tt.url, "Authorization", map[bool]string{true: operator}[strings.HasPrefix(tt.url, r.Admin)])
		if tt.status != 0 && res.StatusCode != tt.status {
			t.Errorf("%s %s: %s, want %d", tt.method, tt.url, res.Status, tt.status)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin", "Server": "",
			"X-Powered-By": "",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s %s: %s is %q, want %q", tt.method, tt.url, name, got, want)
			}
		}
	}
	s := r.Events(t, "/sse/stock", rig.User(1, clerk))
	if got := s.Response.Header.Get("Content-Security-Policy"); got == "" {
		t.Error("a stream has no security headers")
	}
}

// What is the operator's is not on the clients' listener, not by any spelling, and on its own only for who has an
// operator's token, by its own name, and from no page of another site.
func TestOperatorsDoors(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	operator := "Bearer " + rig.Token(map[string]any{"rowfeed_operator": true})
	for _, path := range []string{
		"/metrics", "/metrics/", "/admin", "/admin/", "/admin/kick", "/debug/pprof/", "/debug/vars", "//metrics", "/ws/../metrics",
		"/healthz/../metrics", "/%6detrics", "/METRICS", "/sse/%2e%2e/metrics", "/ws/%2e%2e%2fmetrics",
	} {
		for _, method := range []string{"GET", "POST", "HEAD"} {
			res, text := ask(t, method, "http://"+r.Addr+path, "Authorization", operator, "Host", r.Admin)
			if res.StatusCode/100 == 2 || strings.Contains(text, "rowfeed_session_open") {
				t.Errorf("%s %s of the clients' listener: %s", method, path, res.Status)
			}
		}
	}
	for _, tt := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"operator", []string{"Authorization", operator}, 200},
		{"nobody", nil, 401},
		{"a user", []string{"Authorization", "Bearer " + rig.User(1, clerk)}, 401},
		{"who says so", []string{"Authorization", "Bearer " + rig.Token(map[string]any{"user_id": 1, "rowfeed_operator": "true"})}, 401},
		{"expired", []string{"Authorization",
			"Bearer " + rig.Token(map[string]any{"rowfeed_operator": true, "exp": time.Now().Add(-time.Hour).Unix()})}, 401},
		{"cookie", []string{"Cookie", "access_token=" + strings.TrimPrefix(operator, "Bearer "), "Sec-Fetch-Site", "same-origin"}, 401},
		{"rebound name", []string{"Authorization", operator, "Host", "evil.example"}, 421},
		{"page of another site", []string{"Authorization", operator, "Sec-Fetch-Site", "cross-site"}, 403},
		{"page of another origin", []string{"Authorization", operator, "Origin", "https://evil.example"}, 403},
		{"its own page", []string{"Authorization", operator, "Origin", "http://" + r.Admin, "Sec-Fetch-Site", "same-origin"}, 200},
	} {
		res, text := ask(t, http.MethodGet, "http://"+r.Admin+"/metrics", tt.headers...)
		if res.StatusCode != tt.status || (tt.status != 200 && strings.Contains(text, "rowfeed_session")) {
			t.Errorf("%s: %s, want %d", tt.name, res.Status, tt.status)
		}
	}
	if res, _ := ask(t, "GET", "http://"+r.Admin+"/ws/stock", "Authorization", operator); res.StatusCode != 404 {
		t.Errorf("clients at the operator's listener: %s", res.Status)
	}
}

// Other methods than the ones that mean something are refused.
func TestMethods(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "HEAD", "PROPFIND"} {
		for _, path := range []string{"/ws", "/ws/stock"} {
			res, text := ask(t, method, "http://"+r.Addr+path, "Authorization", "Bearer "+rig.User(1, clerk), "Connection", "Upgrade",
				"Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
				"Sec-WebSocket-Protocol", "rowfeed.v1, rowfeed.plain", "X-Marker", "echoed")
			if res.StatusCode != http.StatusMethodNotAllowed || strings.Contains(text, "echoed") {
				t.Errorf("%s %s: %s", method, path, res.Status)
			}
		}
	}
	await(t, r, "rowfeed_session_open 0")
}

// A new certificate is served as soon as its files are there; who is connected stays, and half of it changes nothing.
func TestCertificateRenewal(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	r := rig.New(t, stock, channels, "ROWFEED_SERVER_TLS_CERT_FILE="+cert, "ROWFEED_SERVER_TLS_KEY_FILE="+key)
	presented := func() string {
		nc, err := tls.Dial("tcp", r.Addr, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
		if err != nil {
			return err.Error()
		}
		defer nc.Close()
		return string(nc.ConnectionState().PeerCertificates[0].Raw)
	}
	before := presented()
	newCert, newKey, newPool := certificate(t)
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Minute) // whatever the file system's clock can tell apart
		if err := os.Chtimes(to, later, later); err != nil {
			t.Fatal(err)
		}
	}
	move(newCert, cert)
	if presented() != before {
		t.Error("a certificate without its key is served")
	}
	move(newKey, key)
	pool = newPool
	for limit := time.After(rig.Limit); ; {
		if got := presented(); got != before && !strings.Contains(got, "certificate signed by unknown authority") {
			break
		}
		select {
		case <-limit:
			t.Fatal("the new certificate is not served")
		case <-time.After(50 * time.Millisecond):
		}
	}
	if nc, err := tls.Dial("tcp", r.Addr, &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}); err == nil {
		nc.Close()
		t.Error("TLS 1.1 is spoken")
	}
}
