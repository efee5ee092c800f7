package operate

import (
	"net"
	"net/http"
	"strings"
)

// Guard lets only operators to the handler: the Host must be the listener's own address or a loopback name (else a
// page elsewhere could reach it by rebinding a name), no page of another site may ask, and, health aside, the request
// must carry an operator's token (`rowfeed token --operator`) as a bearer.
func Guard(listen string, operator func(token string) bool, next http.Handler) http.Handler {
	own, _, _ := net.SplitHostPort(listen)
	return Headers(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch site := r.Header.Get("Sec-Fetch-Site"); {
		case !ownHost(r.Host, own):
			http.Error(w, "this listener answers to its own address only", http.StatusMisdirectedRequest)
		case site != "" && site != "same-origin" && site != "none":
			http.Error(w, "not for pages of other sites", http.StatusForbidden)
		case !ownOrigin(r):
			http.Error(w, "not for pages of other origins", http.StatusForbidden)
		case r.URL.Path == "/healthz", r.URL.Path == "/readyz": // probes have no token
			next.ServeHTTP(w, r)
		default:
			token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if !ok || !operator(token) {
				w.Header().Set("WWW-Authenticate", "Bearer")
				http.Error(w, "an operator's token is needed: rowfeed token --operator", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		}
	}))
}

// ownOrigin tells whether a request comes from no page, or from one of the very host it is for: browsers that do not send
// Sec-Fetch-Site send Origin with whatever changes something.
func ownOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	_, host, _ := strings.Cut(origin, "://")
	return origin == "" || strings.EqualFold(host, r.Host)
}

// ownHost tells whether a Host header names the listener: its address, any IP address where it listens on all, or
// localhost.
func ownHost(host, own string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, own) || strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return false
	}
	all := own == "" || own == "0.0.0.0" || own == "::"
	return all || ip.IsLoopback()
}
