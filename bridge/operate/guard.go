package operate

import (
	"context"
	"mime"
	"net"
	"net/http"
	"strings"
)

// maxBody bounds what an operator may send, in bytes.
const maxBody = 64 << 10

// operatorKey is where a request's context has its operator.
type operatorKey struct{}

// operatorOf returns the user of the operator's token.
func operatorOf(r *http.Request) string {
	who, _ := r.Context().Value(operatorKey{}).(string)
	return who
}

// Guard lets only operators to the handler: the Host must be the listener's own address or a loopback name (else a
// page elsewhere could reach it by rebinding a name), no page of another site may ask, and, health aside, the request
// must carry an operator's token (`rowfeed token --operator`) as a bearer. What changes something is a POST with a JSON
// body of up to 64 KiB, from no page or one of the listener's own. operator returns the user of an operator's token.
func Guard(listen string, operator func(token string) (user string, ok bool), next http.Handler) http.Handler {
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
			who := ""
			if ok {
				who, ok = operator(token)
			}
			if !ok {
				w.Header().Set("WWW-Authenticate", "Bearer")
				http.Error(w, "an operator's token is needed: rowfeed token --operator", http.StatusUnauthorized)
				return
			}
			if status, why := acceptable(r); why != "" {
				http.Error(w, why, status)
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), operatorKey{}, who)))
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

// acceptable says what is wrong with a request that may change something; GET and HEAD change nothing.
func acceptable(r *http.Request) (status int, why string) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return 0, ""
	}
	// No form of another site's page can send this type.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return http.StatusUnsupportedMediaType, "send Content-Type: application/json"
	}
	return 0, ""
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
