package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed demo/sql/requests.sql
var requestsSQL string

//go:embed demo/sql/stock.sql
var stockSQL string

//go:embed demo/sql/notifications.sql
var notificationsSQL string

//go:embed demo/sql/notify.sql
var notifySQL string

const (
	stockTable        = "inventory_stocklevel"
	notificationTable = "notifications_notification"
	requestTable      = "finance_expenserequest"
	orderTable        = "procurement_purchaseorder" // those who decide on them see all stock
)

// decisionNouns says what a person calls a row of each table of requests.
var decisionNouns = map[string]string{
	"finance_expenserequest":    "expense request",
	"finance_advancerequest":    "advance request",
	"hr_leaverequest":           "leave request",
	"hr_policyapproval":         "policy",
	"procurement_purchaseorder": "purchase order",
	"inventory_transferrequest": "transfer request",
	"inventory_physicalcount":   "physical count",
	"grants_disbursement":       "disbursement",
}

// demoRequest is a request as the page lists it.
type demoRequest struct {
	Resource  string     `json:"resource"`
	ID        int64      `json:"id"`
	Number    string     `json:"number"`
	Kind      string     `json:"kind"`
	Icon      string     `json:"icon"`
	Subject   string     `json:"subject"`
	Amount    *string    `json:"amount"`
	Currency  string     `json:"currency"`
	Status    string     `json:"status"`
	Requester demoAuthor `json:"requester"`
	Created   time.Time  `json:"created_at"`
	Changed   time.Time  `json:"changed_at"`
	Decidable bool       `json:"decidable"`
}

type demoAuthor struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// requests lists what the user may see.
func (s *demoServer) requests(r *http.Request, who *demoPerson) (any, error) {
	return s.listRequests(r.Context(), who, nil, nil)
}

// request is one of them.
func (s *demoServer) request(r *http.Request, who *demoPerson) (any, error) {
	source, id, err := s.source(r)
	if err != nil {
		return nil, err
	}
	list, err := s.listRequests(r.Context(), who, &source.table, &id)
	if err != nil || len(list) == 1 {
		return first(list), err
	}
	return nil, &refusal{http.StatusNotFound, "no such request"}
}

func first(list []demoRequest) any {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// listRequests lists all that the user may see, or one of them.
func (s *demoServer) listRequests(ctx context.Context, who *demoPerson, table *string, id *int64) (
	[]demoRequest, error) {
	rows, err := s.stage.erp.Query(ctx, requestsSQL, who.company, who.key, table, id)
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (demoRequest, error) {
		var q demoRequest
		err := row.Scan(&q.Resource, &q.ID, &q.Number, &q.Kind, &q.Icon, &q.Subject, &q.Amount, &q.Currency, &q.Status,
			&q.Requester.ID, &q.Requester.Name, &q.Created, &q.Changed, &q.Decidable)
		q.Resource = s.tables[q.Resource]
		return q, err
	})
}

// source reads which request a URL means.
func (s *demoServer) source(r *http.Request) (demoSource, int64, error) {
	source, ok := s.sources[r.PathValue("resource")]
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if !ok || err != nil {
		return demoSource{}, 0, &refusal{http.StatusNotFound, "no such request"}
	}
	return source, id, nil
}

// decide is what the ERP does when an approver presses a button: one transaction that changes the request and tells its
// requester.
func (s *demoServer) decide(r *http.Request, who *demoPerson) (any, error) {
	var body struct{ Decision string }
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	if body.Decision != "approved" && body.Decision != "rejected" {
		return nil, &refusal{http.StatusUnprocessableEntity, "a request is approved or rejected"}
	}
	source, id, err := s.source(r)
	if err != nil {
		return nil, err
	}
	list, err := s.listRequests(r.Context(), who, &source.table, &id)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 || !list[0].Decidable {
		return nil, &refusal{http.StatusForbidden, "not yours to decide"}
	}
	if err := s.settle(r.Context(), who, source, list[0], body.Decision); err != nil {
		return nil, err
	}
	return map[string]string{"status": body.Decision}, nil
}

// settle changes a pending request's status and notifies its requester.
func (s *demoServer) settle(ctx context.Context, who *demoPerson, src demoSource, q demoRequest, to string) error {
	return pgx.BeginFunc(ctx, s.stage.erp, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "update "+pgx.Identifier{src.table}.Sanitize()+
			" set status = $2, approved_by_id = $3, decided_at = now(), updated_at = now()"+
			" where id = $1 and status = 'pending'", q.ID, to, who.key)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return &refusal{http.StatusUnprocessableEntity, q.Number + " was decided meanwhile"}
		}
		noun := decisionNouns[src.table]
		_, err = tx.Exec(ctx, notifySQL, q.Requester.ID, strings.ReplaceAll(noun, " ", "_")+"_decided",
			fmt.Sprintf("Your %s %s was %s", noun, q.Number, to),
			strings.ReplaceAll(src.link, "{id}", strconv.FormatInt(q.ID, 10)))
		return err
	})
}

// demoLevel is a stock level as the page lists it.
type demoLevel struct {
	ID        int64     `json:"id" db:"id"`
	SKU       string    `json:"sku" db:"sku"`
	Name      string    `json:"name" db:"name"`
	Warehouse int64     `json:"warehouse_id" db:"warehouse_id"`
	Place     string    `json:"warehouse" db:"warehouse"`
	Quantity  int64     `json:"quantity" db:"quantity"`
	Reorder   int64     `json:"reorder_level" db:"reorder_level"`
	Changed   time.Time `json:"changed_at" db:"changed_at"`
}

// stock lists the levels that the user may see.
func (s *demoServer) stock(r *http.Request, who *demoPerson) (any, error) {
	rows, err := s.stage.erp.Query(r.Context(), stockSQL, who.company, who.key)
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[demoLevel])
}

// demoNote is a notification as the bell lists it.
type demoNote struct {
	ID      int64      `json:"id" db:"id"`
	Message string     `json:"message" db:"message"`
	At      time.Time  `json:"at" db:"at"`
	Read    *time.Time `json:"read_at" db:"read_at"`
}

// notifications lists the user's newest, and counts all that are unread.
func (s *demoServer) notifications(r *http.Request, who *demoPerson) (any, error) {
	rows, err := s.stage.erp.Query(r.Context(), notificationsSQL, who.key)
	if err != nil {
		return nil, fmt.Errorf("read notifications: %w", err)
	}
	items, err := pgx.CollectRows(rows, pgx.RowToStructByName[demoNote])
	if err != nil {
		return nil, fmt.Errorf("read notifications: %w", err)
	}
	var unread int64
	err = s.stage.erp.QueryRow(r.Context(), "select count(*) from notifications_notification"+
		" where user_id = $1 and read_at is null", who.key).Scan(&unread)
	return map[string]any{"items": items, "unread": unread}, err
}

// read marks all of the user's notifications as read.
func (s *demoServer) read(r *http.Request, who *demoPerson) (any, error) {
	tag, err := s.stage.erp.Exec(r.Context(), "update notifications_notification set read_at = now()"+
		" where user_id = $1 and read_at is null", who.key)
	return map[string]int64{"read": tag.RowsAffected()}, err
}
