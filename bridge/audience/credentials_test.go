package audience

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"nalar.internal/rowfeed/config"
)

// request is one to /ws with the headers given as "Name: value".
func request(t testing.TB, target string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://live.nalar.example"+target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	const (
		header  = "Authorization: Bearer h"
		proto   = "Sec-WebSocket-Protocol: rowfeed.v1, bearer.p"
		second  = "Sec-WebSocket-Protocol: bearer.p"
		plain   = "Sec-WebSocket-Protocol: rowfeed.plain"
		cookie  = "Cookie: x=1; access_token=c"
		origin  = "Origin: https://erp.nalar.example"
		fetch   = "Sec-Fetch-Site: same-origin"
		foreign = false
		allowed = true
	)
	all := config.JWT{Cookie: "access_token", QueryParameter: "t"}
	for name, test := range map[string]struct {
		cfg     config.JWT
		r       *http.Request
		allowed bool
		token   string
		source  Source
	}{
		"none":                 {all, request(t, "/ws"), allowed, "", None},
		"header":               {all, request(t, "/ws?t=q", origin, cookie, proto, header), allowed, "h", Header},
		"subprotocol":          {all, request(t, "/ws?t=q", origin, cookie, proto), allowed, "p", Subprotocol},
		"cookie":               {all, request(t, "/ws?t=q", origin, cookie), allowed, "c", Cookie},
		"query":                {all, request(t, "/ws?t=q", origin), allowed, "q", Query},
		"scheme in any case":   {all, request(t, "/ws", "Authorization: bEARER  h "), foreign, "h", Header},
		"other scheme":         {all, request(t, "/ws", "Authorization: Basic h", proto), foreign, "p", Subprotocol},
		"no bearer":            {all, request(t, "/ws", "Authorization: Bearerh"), foreign, "", None},
		"second line":          {all, request(t, "/ws", plain, second), allowed, "p", Subprotocol},
		"other scheme too":     {all, request(t, "/ws", "Authorization: Basic h", header, cookie, fetch), foreign, "h", Header},
		"cookie twice, alike":  {all, request(t, "/ws", "Cookie: access_token=c; access_token=; access_token=c", fetch), foreign, "c", Cookie},
		"header from afar":     {all, request(t, "/ws", "Origin: https://evil.example", header), foreign, "h", Header},
		"cookie from afar":     {all, request(t, "/ws", "Origin: https://evil.example", cookie), foreign, "", None},
		"cookie, both":         {all, request(t, "/ws", "Origin: https://evil.example", cookie, fetch), foreign, "", None},
		"cookie, null origin":  {all, request(t, "/ws", "Origin: null", cookie, fetch), foreign, "", None},
		"cookie, no origin":    {all, request(t, "/ws", cookie), foreign, "", None},
		"cookie, same origin":  {all, request(t, "/ws", cookie, fetch), foreign, "c", Cookie},
		"cookie, same site":    {all, request(t, "/ws", cookie, "Sec-Fetch-Site: same-site"), foreign, "", None},
		"cookie, two sites":    {all, request(t, "/ws", cookie, fetch, "Sec-Fetch-Site: cross-site"), foreign, "", None},
		"cookie, empty origin": {all, request(t, "/ws", cookie, fetch, "Origin: "), foreign, "", None},
		"cookie not wanted":    {config.JWT{}, request(t, "/ws", cookie, origin), allowed, "", None},
		"query not wanted":     {config.JWT{}, request(t, "/ws?t=q"), allowed, "", None},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, source, err := Credentials(test.r, test.cfg, test.allowed)
			if token != test.token || source != test.source || err != nil {
				t.Errorf("got %q from %v, %v; want %q from %v", token, source, err, test.token, test.source)
			}
		})
	}
}

// Who means to bring a token is not taken for the cookie's user, nor is one of two chosen.
func TestAmbiguousCredentials(t *testing.T) {
	t.Parallel()
	const cookie, fetch = "Cookie: access_token=c", "Sec-Fetch-Site: same-origin"
	for name, test := range map[string]struct {
		headers []string
		source  Source
		reason  string
	}{
		"empty bearer":       {[]string{"Authorization: Bearer ", cookie, fetch}, Header, "token missing"},
		"two headers":        {[]string{"Authorization: Bearer a", "Authorization: Bearer b", cookie, fetch}, Header, "more than one token"},
		"empty subprotocol":  {[]string{"Sec-WebSocket-Protocol: rowfeed.v1, bearer.", cookie, fetch}, Subprotocol, "token missing"},
		"two subprotocols":   {[]string{"Sec-WebSocket-Protocol: bearer.a, bearer.b", cookie, fetch}, Subprotocol, "more than one token"},
		"two cookies":        {[]string{cookie + "; access_token=d", fetch}, Cookie, "more than one token"},
		"two cookie headers": {[]string{cookie, "Cookie: access_token=d", fetch}, Cookie, "more than one token"},
	} {
		token, source, err := Credentials(request(t, "/ws", test.headers...), config.JWT{Cookie: "access_token"}, false)
		if refusal, ok := errors.AsType[*Refusal](err); !ok || refusal.Reason != test.reason || token != "" || source != test.source {
			t.Errorf("%s: got %q from %v, %v; want %s", name, token, source, err, test.reason)
		}
	}
}

func TestTokenInURL(t *testing.T) {
	t.Parallel()
	token := hs256(t, nil)
	for target, want := range map[string]bool{
		"/ws?token=" + token:                                 true,
		"/ws?access_token=" + token:                          true,
		"/ws?anything=" + token:                              true,
		"/ws?t=x&jwt=" + token:                               true,
		"/ws?x;auth=" + token:                                true,
		"/ws?%zz&bearer=" + token:                            true,
		"/ws?auth=Bearer+" + token:                           true,
		"/ws?auth=bearer%20" + url.QueryEscape(token):        true,
		"/ws?" + token:                                       true,
		"/ws?token=" + strings.ReplaceAll(token, ".", "%2E"): true,
		"/ws/stock/" + token:                                 true,
		"/ws?allowed=" + token + "&token=" + token:           true,
		"/ws?allowed=" + token:                               false,
		"/ws?token=reset":                                    false,
		"/ws/stock?cursor=7f3a:4711:e30.e30.x":               false,
		"/ws?token=e30.e30.":                                 false, // a header without alg
		"/ws?token=" + token[:30]:                            false,
	} {
		r := request(t, target, "Authorization: Bearer h")
		_, _, err := Credentials(r, config.JWT{QueryParameter: "allowed"}, true)
		if errors.Is(err, ErrTokenInURL) != want {
			t.Errorf("%s: %v, want refused: %v", target, err, want)
		}
	}
	if _, _, err := Credentials(request(t, "/ws?allowed="+token), config.JWT{}, true); !errors.Is(err, ErrTokenInURL) {
		t.Errorf("none allowed: %v", err)
	}
}

func FuzzCredentials(f *testing.F) {
	f.Add("t=1", "Bearer x", "rowfeed.v1, bearer.x", "a=b", "https://erp.nalar.example", true)
	f.Add("t=eyJhbGciOiJIUzI1NiJ9.e30.x", "basic", ",bearer.", "c=\"x\"", "", false)
	f.Fuzz(func(t *testing.T, query, authorization, protocols, cookie, origin string, allowed bool) {
		r := &http.Request{URL: &url.URL{Path: "/ws", RawQuery: query}, Header: http.Header{
			"Authorization": {authorization}, "Sec-Websocket-Protocol": {protocols}, "Cookie": {cookie},
		}}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		token, source, err := Credentials(r, config.JWT{Cookie: "c"}, allowed)
		if err == nil && (token == "") != (source == None) || err != nil && token != "" {
			t.Fatalf("%q from %v, %v", token, source, err)
		}
		if source == Cookie && !allowed || source == Query {
			t.Fatalf("took %q from %v", token, source)
		}
		if err == nil && looksLikeJWT(r.URL.Query().Get("token")) {
			t.Fatal("a token in the URL passed")
		}
	})
}
