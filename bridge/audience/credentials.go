package audience

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"nalar.internal/rowfeed/config"
)

// Source is where in a request a token was.
type Source uint8

// The sources, in order of precedence. From Cookie and None a full-protocol session may still bring a first frame.
const (
	None Source = iota
	Header
	Subprotocol
	Cookie
	Query
)

// ErrTokenInURL refuses a request, with HTTP 400, whose URL holds a token where none may be: URLs are logged.
var ErrTokenInURL = errors.New("token in the URL, where it would be logged: send it in the Authorization header, " +
	"the subprotocol bearer.<token>, a cookie or the first frame, and treat this one as leaked")

// Credentials returns the token that a request brings, unverified, from the first source that has one: Authorization:
// Bearer, the subprotocol entry bearer.<jwt>, the cookie, the query parameter (the last two where configured). None and
// no error: there is no token. A cookie is what the browser adds by itself, so it counts only if originAllowed says
// that the request's Origin is an allowed one or, where there is no Origin, Sec-Fetch-Site: same-origin does.
//
// A source that is used, but has an empty token or several, is a *Refusal, and source says which it was: to go on to the
// next one, or to choose, could take somebody for another user than they mean to be.
func Credentials(r *http.Request, cfg config.JWT, originAllowed bool) (token string, source Source, err error) {
	if tokenInURL(r.URL, cfg.QueryParameter) {
		return "", None, ErrTokenInURL
	}
	if token, err := only(bearers(r.Header)); token != "" || err != nil {
		return token, Header, err
	}
	if token, err := only(subprotocols(r.Header)); token != "" || err != nil {
		return token, Subprotocol, err
	}
	if cfg.Cookie != "" && (originAllowed || sameOrigin(r.Header)) {
		if token, err := only(cookies(r, cfg.Cookie)); token != "" || err != nil {
			return token, Cookie, err
		}
	}
	if cfg.QueryParameter != "" {
		if token := r.URL.Query().Get(cfg.QueryParameter); token != "" {
			return token, Query, nil
		}
	}
	return "", None, nil
}

// only returns the token of a source, which may say it more than once; none where the source is not used.
func only(tokens []string) (string, error) {
	switch {
	case len(tokens) == 0:
		return "", nil
	case len(slices.Compact(tokens)) > 1:
		return "", refuse("more than one token")
	case tokens[0] == "":
		return "", refuse("token missing")
	}
	return tokens[0], nil
}

// bearers reads the Authorization headers: RFC 6750, section 2.1; the scheme's case is free (RFC 9110, section 11.1).
func bearers(h http.Header) (tokens []string) {
	for _, line := range h.Values("Authorization") {
		if scheme, token, _ := strings.Cut(line, " "); strings.EqualFold(scheme, "Bearer") {
			tokens = append(tokens, strings.TrimSpace(token))
		}
	}
	return tokens
}

// subprotocols finds the entries bearer.<jwt> among the subprotocols offered; a JWT fits a subprotocol's syntax (RFC
// 6455, section 4.1).
func subprotocols(h http.Header) (tokens []string) {
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for entry := range strings.SplitSeq(line, ",") {
			if token, ok := strings.CutPrefix(strings.TrimSpace(entry), "bearer."); ok {
				tokens = append(tokens, token)
			}
		}
	}
	return tokens
}

// cookies returns what the cookie holds: a browser sends one for each path and domain that set it, which a subdomain
// can, and does not say which is whose. An empty one is what is left of one that was taken back.
func cookies(r *http.Request, name string) (tokens []string) {
	for _, c := range r.CookiesNamed(name) {
		if c.Value != "" {
			tokens = append(tokens, c.Value)
		}
	}
	return tokens
}

// sameOrigin says that the browser vouches for the page, where it sent no Origin (a GET to the own origin has none).
func sameOrigin(h http.Header) bool {
	site := h.Values("Sec-Fetch-Site")
	return len(h.Values("Origin")) == 0 && len(site) == 1 && site[0] == "same-origin"
}

// tokenInURL finds anything that looks like a JWT in the path or the query, whatever its name, but for the allowed
// parameter. The query is taken apart here because url.Values drops what is malformed.
func tokenInURL(u *url.URL, allowed string) bool {
	for segment := range strings.SplitSeq(u.Path, "/") {
		if looksLikeJWT(segment) {
			return true
		}
	}
	for _, pair := range strings.FieldsFunc(u.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		if looksLikeJWT(unescape(name)) || looksLikeJWT(unescape(value)) && (allowed == "" || unescape(name) != allowed) {
			return true
		}
	}
	return false
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// looksLikeJWT recognises a JWS in compact form (RFC 7515, section 3.1), with "Bearer " before it or not, by its
// first part: a JSON object that names an algorithm.
func looksLikeJWT(s string) bool {
	if len(s) > 7 && strings.EqualFold(s[:7], "Bearer ") {
		s = s[7:]
	}
	head, rest, ok := strings.Cut(strings.TrimSpace(s), ".")
	if !ok || !strings.Contains(rest, ".") {
		return false
	}
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return false
	}
	var header map[string]json.RawMessage
	return json.Unmarshal(b, &header) == nil && header["alg"] != nil
}
