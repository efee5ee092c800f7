package session

import (
	"encoding/json"
	"errors"
	"net/http"
)

// refusal is an answer by an HTTP error: a word for programs and a text for people.
type refusal struct {
	status  int
	word    string
	message string
}

// Error implements error.
func (v refusal) Error() string { return v.message }

// errBadRequest is the word of what is wrong with a request.
const errBadRequest = "bad_request"

// refusal returns the verdict as it is said before a stream; token tells that the request had one.
func (v verdict) refusal(token bool) refusal {
	switch {
	case v.code == closeDraining:
		return refusal{http.StatusServiceUnavailable, "draining", "this node is going away: try again"}
	case v.code == closeTryLater:
		return refusal{http.StatusServiceUnavailable, "unavailable", v.reason}
	case v.reason == serverFull:
		return refusal{http.StatusServiceUnavailable, "connection_limit", v.reason}
	case v.code == closeConnectionLimit:
		return refusal{http.StatusTooManyRequests, "connection_limit", v.reason}
	case !token:
		return refusal{http.StatusUnauthorized, "no_token", "no token: send it as Authorization: Bearer <token>, or in the cookie"}
	}
	return refusal{http.StatusUnauthorized, "auth_failed", v.reason}
}

// reject answers a request for a stream by an HTTP error.
func (srv *Server) reject(w http.ResponseWriter, err error) {
	var v refusal
	if !errors.As(err, &v) {
		v = refusal{http.StatusInternalServerError, errInternal, "the stream could not be opened; try again"}
	}
	srv.Stats.Refused.Add(1)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	switch v.status {
	case http.StatusUnauthorized:
		challenge := "Bearer" // RFC 6750, section 3.1: no error code where there was no token
		if v.word == "auth_failed" {
			challenge += ` error="invalid_token"`
		}
		h.Set("WWW-Authenticate", challenge)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", allowedMethods)
	case http.StatusTooManyRequests:
		h.Set("Retry-After", "5")
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(v.status)
	_ = json.NewEncoder(w).Encode(struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{v.word, v.message})
}

const allowedMethods = "GET, POST, OPTIONS"

// allowOrigin adds the CORS headers of a listed Origin, and tells whether the request's is one.
func (srv *Server) allowOrigin(h http.Header, r *http.Request) bool {
	h.Set("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !srv.origins.Allowed(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	return true
}

// preflight answers the question that a browser asks before a request that a plain form could not make: Fetch
// Standard, section 3.2.2.
func preflight(h http.Header, allowed bool) {
	h.Set("Allow", allowedMethods)
	if !allowed {
		return
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "authorization, content-type, last-event-id, cache-control")
	h.Set("Access-Control-Max-Age", "600")
}
