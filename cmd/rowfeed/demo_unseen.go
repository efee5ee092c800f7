package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
)

//go:embed demo/sql/unseen.sql
var unseenSQL string

// maxUnseen is how many changes are told one by one.
const maxUnseen = 20_000

// demoUnseen is what was committed while a person lacks rights and would have been theirs to see with them.
type demoUnseen struct {
	snapshot string // of the last look at the outbox
	changes  int
	list     []demoHidden // the first of them
}

// demoHidden names a change that the person may not see. Only a demo tells: it lets the page prove that nothing of it
// came.
type demoHidden struct {
	Txid     string `json:"txid"`
	Resource string `json:"resource"`
}

// watchUnseen begins to count, unless it has begun. The caller holds rights.mu.
func (s *demoServer) watchUnseen(ctx context.Context, who *demoPerson) error {
	if s.rights.unseen[who.ID] != nil {
		return nil
	}
	snapshot, err := s.snapshotNow(ctx)
	if err == nil {
		s.rights.unseen[who.ID] = &demoUnseen{snapshot: snapshot}
	}
	return err
}

// forgetUnseen ends the count when the person has all rights again. The caller holds mu.
func (r *demoRights) forgetUnseen(who *demoPerson) {
	if !slices.ContainsFunc(r.byPerson[who.ID], func(one *demoRight) bool { return !one.Held }) {
		delete(r.unseen, who.ID)
	}
}

// look counts what was committed since the last look. The caller holds rights.mu.
func (s *demoServer) look(ctx context.Context, who *demoPerson) error {
	u := s.rights.unseen[who.ID]
	if u == nil {
		return nil
	}
	tables, lost, kept := []string{}, []int64{}, []int64{}
	for _, right := range s.rights.byPerson[who.ID] {
		switch {
		case !right.Held && right.place == 0:
			tables = append(tables, right.tables...)
		case !right.Held:
			lost = append(lost, right.place)
		case right.place != 0:
			kept = append(kept, right.place)
		}
	}
	rows, err := s.stage.feed.Query(ctx, unseenSQL, u.snapshot, who.key, who.company, tables, lost, kept)
	if err != nil {
		return fmt.Errorf("count changes: %w", err)
	}
	var txid, table *string
	_, err = pgx.ForEachRow(rows, []any{&u.snapshot, &txid, &table}, func() error {
		if txid == nil {
			return nil
		}
		if u.changes++; len(u.list) < maxUnseen {
			u.list = append(u.list, demoHidden{*txid, s.tables[*table]})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count changes: %w", err)
	}
	return nil
}

// unseen tells how many changes were committed that the person's rights no longer let them see, and which, from the
// one on that the page asks for.
func (s *demoServer) unseen(r *http.Request, who *demoPerson) (any, error) {
	s.rights.mu.Lock()
	defer s.rights.mu.Unlock()
	if err := s.look(r.Context(), who); err != nil {
		return nil, err
	}
	u := s.rights.unseen[who.ID]
	if u == nil {
		u = &demoUnseen{}
	}
	from, err := strconv.Atoi(r.URL.Query().Get("from"))
	if err != nil || from < 0 {
		return nil, &refusal{http.StatusUnprocessableEntity, "from is the number of changes that the page knows"}
	}
	return map[string]any{"changes": u.changes, "list": append([]demoHidden{}, u.list[min(from, len(u.list)):]...)}, nil
}
