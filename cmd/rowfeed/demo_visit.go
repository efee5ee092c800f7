package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// turnLimit is how long it may take to turn rights, which is not to be broken off when the page goes.
const turnLimit = 5 * time.Second

// rightsOfPerson lists the person's rights. What ended visits could not give back is given back first.
func (s *demoServer) rightsOfPerson(r *http.Request, who *demoPerson) (any, error) {
	if err := s.restore(r.Context()); err != nil {
		return nil, err
	}
	return s.rights.of(who), nil
}

// visit holds what the page takes away: it answers with the visit's name and then lasts as long as the page.
func (s *demoServer) visit(w http.ResponseWriter, r *http.Request) {
	who, err := s.identify(r.Header.Get("Authorization"))
	if err != nil {
		unauthorized(w, err)
		return
	}
	name := rand.Text()
	s.rights.mu.Lock()
	s.rights.visits[name] = who.ID
	s.rights.mu.Unlock()
	defer func() {
		s.rights.mu.Lock()
		delete(s.rights.visits, name)
		s.rights.mu.Unlock()
		_ = s.restore(r.Context()) // what it could not give back, the next who asks for rights does
	}()
	reply(w, http.StatusOK, map[string]string{"visit": name})
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	<-r.Context().Done()
}

// restore gives back what ended visits have taken away.
func (s *demoServer) restore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnLimit)
	defer cancel()
	s.rights.mu.Lock()
	defer s.rights.mu.Unlock()
	var errs []error
	for _, p := range s.people {
		for _, right := range s.rights.byPerson[p.ID] {
			if _, open := s.rights.visits[right.visit]; !right.Held && !open {
				_, err := s.turn(ctx, p, right, "")
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// demoTurn is what giving or taking a right did.
type demoTurn struct {
	Held      bool    `json:"held"`
	Statement string  `json:"statement"`
	Rows      int64   `json:"rows"`
	MS        float64 `json:"ms"`
	At        float64 `json:"at"` // when the commit was confirmed, in ms since 1970
}

// setRight takes one of the person's rights away by one plain DELETE as the ERP, or gives it back by one INSERT.
func (s *demoServer) setRight(r *http.Request, who *demoPerson) (any, error) {
	var body struct {
		Visit string
		Held  bool
	}
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), turnLimit)
	defer cancel()
	s.rights.mu.Lock()
	defer s.rights.mu.Unlock()
	list := s.rights.byPerson[who.ID]
	i := slices.IndexFunc(list, func(one *demoRight) bool { return one.ID == r.PathValue("right") })
	switch {
	case i < 0:
		return nil, &refusal{http.StatusNotFound, "no such right of this person"}
	case s.rights.visits[body.Visit] != who.ID:
		return nil, &refusal{http.StatusConflict, "this page’s visit has ended: reload the page"}
	case list[i].Held == body.Held:
		return nil, &refusal{http.StatusUnprocessableEntity, "another window was faster: it is so already"}
	}
	return s.turn(ctx, who, list[i], body.Visit)
}

// turn gives the right back if it is away, else takes it for the visit. The caller holds rights.mu.
func (s *demoServer) turn(ctx context.Context, who *demoPerson, right *demoRight, visit string) (*demoTurn, error) {
	done := &demoTurn{Held: !right.Held, Statement: right.Take}
	if done.Held {
		done.Statement, visit = right.Give, ""
		// Up to here it counts as away.
		if err := s.look(ctx, who); err != nil {
			return nil, err
		}
	}
	begin := time.Now()
	err := pgx.BeginFunc(ctx, s.stage.erp, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, done.Statement)
		done.Rows = tag.RowsAffected()
		return err
	})
	if err != nil {
		return nil, err
	}
	end := time.Now()
	done.MS, done.At = milliseconds(end.Sub(begin)), milliseconds(time.Duration(end.UnixNano()))
	right.Held, right.visit = done.Held, visit
	if done.Held {
		s.rights.forgetUnseen(who)
		return done, nil
	}
	return done, s.watchUnseen(ctx, who)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
