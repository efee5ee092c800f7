package operate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/explain"
	"nalar.internal/rowfeed/bridge/session"
)

// Admin is what operators may do by HTTP, behind Guard.
type Admin struct {
	Ask      func(ctx context.Context, kind string, body any) (*Replies, error) // of every node
	Sessions *session.Server                                                    // of this one
	Tables   func() []Table                                                     // as this one sees them
	Log      *zap.Logger
}

// Handle adds the endpoints to the operator's listener.
func (a *Admin) Handle(mux *http.ServeMux) {
	mux.HandleFunc("POST /admin/kick", a.kick)
	mux.HandleFunc("POST /admin/explain", a.explain)
	mux.HandleFunc("GET /admin/sessions", a.sessions)
	mux.HandleFunc("GET /admin/tables", a.tables)
}

func (a *Admin) kick(w http.ResponseWriter, r *http.Request) {
	var k Kick
	if a.read(w, r, &k, k.Check) {
		a.answer(w, r, KindKick, k, zap.String("user", k.User), zap.String("session", k.Session))
	}
}

func (a *Admin) explain(w http.ResponseWriter, r *http.Request) {
	var q explain.Question
	if a.read(w, r, &q, q.Check) {
		a.answer(w, r, KindExplain, q, zap.String("user", q.User), zap.String("event", q.Event), zap.String("table", q.Table))
	}
}

// read decodes a body, and answers where that or the check fails.
func (a *Admin) read(w http.ResponseWriter, r *http.Request, body any, check func() error) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(body)
	if _, more := d.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("more than one JSON value")
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		write(w, http.StatusRequestEntityTooLarge, Failed{"the body is too large"})
	case err != nil:
		write(w, http.StatusBadRequest, Failed{"read body: " + err.Error()})
	default:
		if err = check(); err != nil {
			write(w, http.StatusBadRequest, Failed{err.Error()})
		}
	}
	return err == nil
}

// answer asks every node and passes on what they say. Who asked for what is in the log.
func (a *Admin) answer(w http.ResponseWriter, r *http.Request, kind string, body any, what ...zap.Field) {
	a.audit(r, kind, what...)
	replies, err := a.Ask(r.Context(), kind, body)
	switch {
	case err != nil:
		write(w, http.StatusServiceUnavailable, Failed{err.Error()})
	default:
		write(w, http.StatusOK, replies)
	}
}

func (a *Admin) audit(r *http.Request, what string, fields ...zap.Field) {
	a.Log.Info("operator", append([]zap.Field{zap.String("does", what), zap.String("who", operatorOf(r)),
		zap.String("address", r.RemoteAddr)}, fields...)...)
}

// maxSessions is how many sessions are listed.
const maxSessions = 1000

// Session is what is listed of a session.
type Session struct {
	ID       string     `json:"session"`
	Issuer   string     `json:"issuer,omitempty"`
	User     string     `json:"user"`
	Tenant   string     `json:"tenant,omitempty"`
	Kind     string     `json:"kind,omitempty"`
	Opened   time.Time  `json:"opened"`
	Expires  *time.Time `json:"token_expires,omitempty"`
	Waiting  int        `json:"waiting"` // messages in its queue
	Channels []string   `json:"channels"`
	Ended    *time.Time `json:"ended,omitempty"`
	Code     int        `json:"code,omitempty"`
	Reason   string     `json:"reason,omitempty"`
}

// sessions lists a user's sessions on this node: those that are open, and those that are remembered.
func (a *Admin) sessions(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	c := session.Chosen{User: query.Get("user"), Session: query.Get("session")}
	if c.User == "" && c.Session == "" {
		write(w, http.StatusBadRequest, Failed{"name the user or the session: /admin/sessions?user=42"})
		return
	}
	for name, field := range map[string]**string{"issuer": &c.Issuer, "tenant": &c.Tenant} {
		if query.Has(name) {
			value := query.Get(name)
			*field = &value
		}
	}
	a.audit(r, "sessions", zap.String("user", c.User), zap.String("session", c.Session))
	out := struct {
		Node      string    `json:"node"`
		Sessions  []Session `json:"sessions"`
		Truncated bool      `json:"truncated,omitempty"`
	}{Node: a.Sessions.Node(), Sessions: []Session{}}
	for _, s := range a.Sessions.Find(c) {
		i := s.Inspect()
		out.Sessions = append(out.Sessions, Session{ID: i.ID, Issuer: i.Issuer, User: i.User, Tenant: i.Tenant, Kind: i.Kind,
			Opened: i.Opened, Expires: &i.Expires, Waiting: i.Waiting, Channels: i.Channels(), Code: i.Code, Reason: i.Reason})
	}
	past, _ := a.Sessions.Past(c)
	for _, p := range past {
		out.Sessions = append(out.Sessions, Session{ID: p.ID, Issuer: p.Issuer, User: p.User, Tenant: p.Tenant, Opened: p.Opened,
			Channels: p.Channels, Ended: &p.At, Code: p.Code, Reason: p.Reason})
	}
	if out.Truncated = len(out.Sessions) > maxSessions; out.Truncated {
		out.Sessions = out.Sessions[:maxSessions]
	}
	write(w, http.StatusOK, out)
}

// tables lists how the watched tables stand.
func (a *Admin) tables(w http.ResponseWriter, r *http.Request) {
	a.audit(r, "tables")
	write(w, http.StatusOK, struct {
		Node   string  `json:"node"`
		Tables []Table `json:"tables"`
	}{a.Sessions.Node(), append([]Table{}, a.Tables()...)})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
