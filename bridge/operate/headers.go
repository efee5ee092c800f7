package operate

import "net/http"

// Headers has every answer of the handler tell browsers to take it for nothing but what it is: no page, no script, not
// in a frame, not kept, and not to be read by pages of other origins but where CORS lets them (Fetch Standard, section
// 3.7). That a host is to be reached by HTTPS alone is for the owner of its name to say, and so not here.
func Headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
