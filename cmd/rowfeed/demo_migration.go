package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/pgserver"
	"nalar.internal/rowfeed/triggers"
)

// demoMigration is a change of the ERP's schema under way: the amount of expense requests becomes wider, or what it was. It
// is the same for all who look.
type demoMigration struct {
	mu      sync.Mutex
	wide    bool
	altered bool // and migrate up was not run since
}

// statement is the one that comes next.
func (m *demoMigration) statement() string {
	digits := 16
	if m.wide {
		digits = 14
	}
	return fmt.Sprintf("ALTER TABLE %s\nALTER COLUMN amount\n TYPE numeric(%d, 2)", requestTable, digits)
}

// demoMigrationState is how it stands.
type demoMigrationState struct {
	Statement string `json:"statement"` // the next one
	Altered   bool   `json:"altered"`
	Found     bool   `json:"found"` // the bridge says that a table has drifted
}

// migration tells how it stands.
func (s *demoServer) migration(r *http.Request, _ *demoPerson) (any, error) {
	s.change.mu.Lock()
	defer s.change.mu.Unlock()
	found, err := s.stage.drifted(r.Context())
	return demoMigrationState{s.change.statement(), s.change.altered, found}, err
}

// demoStep is what a step of it did.
type demoStep struct {
	Statement string  `json:"statement"`
	MS        float64 `json:"ms"`
	WriteMS   float64 `json:"write_ms"` // of the ERP's next write
	At        float64 `json:"at"`       // when the step was over, in ms since 1970
}

// migrate alters the table as its owner and then writes a row as the ERP, or, for "up", runs migrate up.
func (s *demoServer) migrate(r *http.Request, _ *demoPerson) (any, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 30*time.Second)
	defer cancel()
	s.change.mu.Lock()
	defer s.change.mu.Unlock()
	up := r.PathValue("step") == "up"
	if !up && r.PathValue("step") != "alter" {
		return nil, &refusal{http.StatusNotFound, "no such step"}
	}
	if up != s.change.altered {
		return nil, &refusal{http.StatusConflict, "another window was faster: it is so already"}
	}
	done := &demoStep{Statement: "rowfeed migrate up"}
	begin := time.Now()
	if up {
		if err := s.stage.migrateUp(ctx); err != nil {
			return nil, err
		}
		s.change.altered = false
	} else {
		done.Statement = s.change.statement()
		if err := s.stage.alter(ctx, done.Statement); err != nil {
			return nil, err
		}
		s.change.wide, s.change.altered = !s.change.wide, true
	}
	end := time.Now()
	done.MS, done.At = milliseconds(end.Sub(begin)), milliseconds(time.Duration(end.UnixNano()))
	_, err := s.stage.erp.Exec(ctx, "update "+requestTable+" set updated_at = updated_at where id = (select max(id) from "+requestTable+")")
	done.WriteMS = milliseconds(time.Since(end))
	return done, err
}

// asOwner runs f on a connection of the database's superuser.
func (s *demoStage) asOwner(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.server.URL(demoDatabase, pgserver.Superuser))
	if err != nil {
		return fmt.Errorf("connect to postgresql: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f(conn)
}

func (s *demoStage) alter(ctx context.Context, statement string) error {
	return s.asOwner(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

func (s *demoStage) migrateUp(ctx context.Context) error {
	return s.asOwner(ctx, func(conn *pgx.Conn) error {
		target, err := s.target()
		if err != nil {
			return err
		}
		return triggers.Up(ctx, conn, target, func(string) {})
	})
}

// drifted tells whether the bridge has found a table to have drifted.
func (s *demoStage) drifted(ctx context.Context) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.cfg.Server.Listen+"/readyz", nil)
	if err != nil {
		return false, err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, fmt.Errorf("ask bridge: %w", err)
	}
	defer answer.Body.Close()
	var body struct{ Warnings []string }
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return false, fmt.Errorf("ask bridge: %w", err)
	}
	return slices.ContainsFunc(body.Warnings, func(w string) bool { return strings.HasPrefix(w, "drift: ") }), nil
}
