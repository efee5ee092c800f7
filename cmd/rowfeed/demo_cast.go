package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed demo/sql/file.sql
var fileSQL string

// castPause is how long the people on the page wait between two things that they do.
const castPause = 6 * time.Second

// castKeeps is how many of the requester's requests are left for the visitor to decide.
const castKeeps = 4

var castNeeds = []string{"Train to the partner meeting", "Printing of the field handbook", "Translation of the report",
	"Fuel for the assessment", "Venue of the workshop", "Courier to the depot", "Meals for the volunteers"}

// act lets the page's own people work too, so that a visitor who looks on as one of them does not wait for long: the
// requester files a request, the approver decides on one. The workload's dozens of people rarely are these two.
func (s *demoServer) act(ctx context.Context) error {
	tick := time.NewTicker(castPause)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var err error
		if n%2 == 0 {
			err = s.decideOne(ctx)
		} else {
			err = s.file(ctx)
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("run people of the page: %w", err)
		}
	}
}

// decideOne lets the approver decide on one of the requester's pending requests.
func (s *demoServer) decideOne(ctx context.Context) error {
	requester, approver := s.people[0], s.people[1]
	list, err := s.listRequests(ctx, approver, nil, nil)
	if err != nil {
		return err
	}
	var waiting []demoRequest
	for _, q := range list {
		if q.Requester.ID == requester.ID && q.Decidable && q.Status == "pending" {
			waiting = append(waiting, q)
		}
	}
	if len(waiting) <= castKeeps {
		return nil
	}
	q := waiting[len(waiting)-1] // the oldest
	decision := "approved"
	if rand.IntN(4) == 0 {
		decision = "rejected"
	}
	err = s.settle(ctx, approver, s.sources[q.Resource], q, decision)
	if meanwhile := new(refusal); errors.As(err, &meanwhile) {
		return nil
	}
	return err
}

// file lets the requester file a request; the approver is told, in the same transaction.
func (s *demoServer) file(ctx context.Context) error {
	requester, approver := s.people[0], s.people[1]
	amount := strconv.FormatFloat(20+float64(rand.IntN(60000))/100, 'f', 2, 64)
	return pgx.BeginFunc(ctx, s.stage.erp, func(tx pgx.Tx) error {
		var id int64
		var number string
		err := tx.QueryRow(ctx, fileSQL, requester.key, requester.company, castNeeds[rand.IntN(len(castNeeds))], amount).
			Scan(&id, &number)
		if err != nil {
			return err
		}
		if !s.rights.decides(approver, requestTable) { // taken away for a while
			return nil
		}
		link := s.sources[s.tables[requestTable]].link
		_, err = tx.Exec(ctx, notifySQL, approver.key, "expense_pending",
			fmt.Sprintf("%s asks you to approve expense request %s", requester.Name, number),
			strings.ReplaceAll(link, "{id}", strconv.FormatInt(id, 10)))
		return err
	})
}
