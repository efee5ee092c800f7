package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// demoPage is what `npm run demo:build` makes of client/demo.
//
//go:embed demo/dist
var demoPage embed.FS

// maxDemoBody is the longest request body, in bytes.
const maxDemoBody = 4 << 10

// demoServer serves the page and plays the ERP's REST interface. It knows nothing of what is live: for that the page
// speaks to the bridge, which listens elsewhere, as in real life.
type demoServer struct {
	stage   *demoStage
	people  []*demoPerson
	byID    map[string]*demoPerson
	sources map[string]demoSource // resource -> where its requests are
	tables  map[string]string     // table -> resource
	rights  *demoRights
	change  demoMigration // of the schema
	mux     *http.ServeMux
	policy  string

	mu       sync.Mutex // guards what follows
	snapshot string     // of the last look at the outbox
	changes  int64      // committed up to then, since the start
}

// demoSource is a table of requests.
type demoSource struct{ table, link string }

func newDemoServer(ctx context.Context, stage *demoStage) (*demoServer, error) {
	people, err := demoPeople(ctx, stage.erp)
	if err != nil {
		return nil, err
	}
	pages, err := fs.Sub(demoPage, "demo/dist")
	if err != nil {
		return nil, err
	}
	s := &demoServer{stage: stage, people: people, byID: map[string]*demoPerson{}, mux: http.NewServeMux()}
	for _, p := range people {
		s.byID[p.ID] = p
	}
	s.readRules()
	s.rights = newDemoRights(people)
	if err := s.countFromNow(ctx); err != nil {
		return nil, err
	}
	s.policy = strings.Join([]string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
		"connect-src 'self' ws://" + stage.cfg.Server.Listen + " http://" + stage.cfg.Server.Listen, // and its streams
		"base-uri 'none'", "form-action 'none'",
		"frame-ancestors 'none'"}, "; ")
	s.mux.Handle("GET /", http.FileServerFS(pages))
	s.mux.HandleFunc("GET /demo/setup", s.setup)
	s.mux.HandleFunc("GET /demo/token", s.token)
	s.mux.HandleFunc("GET /demo/committed", s.as(s.committed))
	s.mux.HandleFunc("GET /demo/rows", s.as(s.updatable))
	s.mux.HandleFunc("POST /demo/update", s.as(s.update))
	s.mux.HandleFunc("GET /demo/rights", s.as(s.rightsOfPerson))
	s.mux.HandleFunc("GET /demo/visit", s.visit)
	s.mux.HandleFunc("POST /demo/rights/{right}", s.as(s.setRight))
	s.mux.HandleFunc("POST /demo/why", s.as(s.why))
	s.mux.HandleFunc("GET /demo/migration", s.as(s.migration))
	s.mux.HandleFunc("POST /demo/migration/{step}", s.as(s.migrate))
	s.mux.HandleFunc("GET /demo/unseen", s.as(s.unseen))
	s.mux.HandleFunc("GET /api/requests", s.as(s.requests))
	s.mux.HandleFunc("GET /api/requests/{resource}/{id}", s.as(s.request))
	s.mux.HandleFunc("POST /api/requests/{resource}/{id}/decision", s.as(s.decide))
	s.mux.HandleFunc("GET /api/stock", s.as(s.stock))
	s.mux.HandleFunc("GET /api/notifications", s.as(s.notifications))
	s.mux.HandleFunc("POST /api/notifications/read", s.as(s.read))
	return s, nil
}

// readRules learns from the configuration what the frontend calls the ERP's tables.
func (s *demoServer) readRules() {
	s.sources, s.tables = map[string]demoSource{}, map[string]string{}
	for _, channel := range s.stage.cfg.Channels {
		for _, r := range channel.Rules {
			s.tables[r.Table] = r.Resource
			if _, ok := decisionNouns[r.Table]; ok {
				s.sources[r.Resource] = demoSource{r.Table, r.Link}
			}
		}
	}
}

// ServeHTTP refuses other names for this host (a page of another site could reach it through a name of its own that
// points here) and sets the headers that every answer has.
func (s *demoServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", s.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	origin, err := url.Parse(s.stage.origin)
	host, _, _ := net.SplitHostPort(r.Host)
	if err != nil || r.Host != origin.Host && host != "localhost" {
		http.Error(w, "open the demo at "+s.stage.origin, http.StatusMisdirectedRequest)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxDemoBody)
	s.mux.ServeHTTP(w, r)
}

// setup tells the page whom it can show and where the bridge is.
func (s *demoServer) setup(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"socket":   s.stage.socket(),
		"channels": slices.Sorted(maps.Keys(s.stage.cfg.Channels)),
		"users":    s.people,
		"resources": map[string]any{
			"requests":      slices.Sorted(maps.Keys(s.sources)),
			"stock":         s.tables[stockTable],
			"notifications": s.tables[notificationTable],
		},
	})
}

// refusal is an error that the visitor is told.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// as wraps a handler that answers a demo user with what it returns as JSON.
func (s *demoServer) as(answer func(*http.Request, *demoPerson) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := s.identify(r.Header.Get("Authorization"))
		if err != nil {
			unauthorized(w, err)
			return
		}
		body, err := answer(r, who)
		var no *refusal
		switch {
		case err == nil:
			reply(w, http.StatusOK, body)
		case errors.As(err, &no):
			reply(w, no.status, map[string]string{"error": no.text})
		case r.Context().Err() == nil:
			reply(w, http.StatusInternalServerError, map[string]string{"error": "the database did not answer: try again"})
		}
	}
}

func unauthorized(w http.ResponseWriter, err error) {
	w.Header().Set("WWW-Authenticate", "Bearer")
	reply(w, http.StatusUnauthorized, map[string]string{"error": err.Error()})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The only error is a client that went away.
	_ = json.NewEncoder(w).Encode(body)
}

// decode reads a request's JSON body.
func decode(r *http.Request, into any) error {
	if kind := r.Header.Get("Content-Type"); kind != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, "send application/json"}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &refusal{http.StatusBadRequest, "the body is not what this endpoint takes"}
	}
	return nil
}
