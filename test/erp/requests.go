package erp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// action is something that people do, with the rows that it is expected to write into watched tables.
type action struct {
	weight, rows int
	do           func(context.Context, *unit) error
}

var actions = []action{
	{14, 2, func(ctx context.Context, u *unit) error { return u.submit(ctx) }},
	{16, 2, func(ctx context.Context, u *unit) error { return u.decide(ctx) }},
	{6, 2, func(ctx context.Context, u *unit) error { return u.pay(ctx) }},
	{5, 1, func(ctx context.Context, u *unit) error { return u.send(ctx) }},
	{3, 1, func(ctx context.Context, u *unit) error { return u.edit(ctx) }},
	{1, 1, func(ctx context.Context, u *unit) error { return u.discard(ctx) }},
	{2, 2, func(ctx context.Context, u *unit) error { return u.thinkBetter(ctx) }},
	{3, 1, func(ctx context.Context, u *unit) error { return u.numberTwice(ctx) }},
	{30, 2, func(ctx context.Context, u *unit) error { return u.sell(ctx) }},
	{6, 2, func(ctx context.Context, u *unit) error { return u.order(ctx) }},
	{6, 3, func(ctx context.Context, u *unit) error { return u.receive(ctx) }},
	{5, 3, func(ctx context.Context, u *unit) error { return u.transfer(ctx) }},
	{3, 2, func(ctx context.Context, u *unit) error { return u.assign(ctx) }},
	{2, 3, func(ctx context.Context, u *unit) error { return u.disburse(ctx) }},
	{5, 3, func(ctx context.Context, u *unit) error { return u.read(ctx) }},
}

// choose picks an action by weight.
func choose(r *rand.Rand) action {
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	n := r.IntN(total)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			return a
		}
	}
	panic("unreachable: weights add up")
}

// request is a document that somebody works on.
type request struct {
	document
	id      int64
	company int64
	author  int32
	number  string
}

// take locks the oldest document of a status that nobody else works on.
func (u *unit) take(ctx context.Context, d document, status string) (request, error) {
	q := request{document: d}
	row := u.tx.QueryRow(ctx, "select id, company_id, requested_by_id, number from "+d.table+
		" where status = $1 order by id limit 1 for update skip locked", status)
	err := row.Scan(&q.id, &q.company, &q.author, &q.number)
	if errors.Is(err, pgx.ErrNoRows) {
		err = errNothing
	}
	return q, err
}

// move gives a document another status.
func (u *unit) move(ctx context.Context, q request, status string) error {
	_, err := u.update(ctx, q.table, "status = $2, updated_at = now() where id = $1", q.id, status)
	return err
}

// tell notifies the author of what became of a document.
func (u *unit) tell(ctx context.Context, q request, status string) error {
	return u.notify(ctx, q.author, q.kind+"_"+status, fmt.Sprintf("Your %s %s was %s", q.noun, q.number, status),
		fmt.Sprintf(q.link, q.id))
}

// submit writes a new document; if it is ready for it, one of those who decide is told.
func (u *unit) submit(ctx context.Context) error {
	d := pick(u.Rand, documents)
	who, own := author(u.Rand, u.people, u.sites, d)
	status := "pending"
	if u.IntN(10) < 3 {
		status = "draft"
	}
	id, err := u.write(ctx, d, who, own, status)
	if err != nil || status == "draft" {
		return err
	}
	approver := pick(u.Rand, members(u.people, who.company, d.approver))
	return u.notify(ctx, approver.id, d.kind+"_pending",
		fmt.Sprintf("%s asks you to approve %s %s", who.name, d.noun, d.number(id)), fmt.Sprintf(d.link, id))
}

// write inserts a document, and a purchase order's lines.
func (u *unit) write(ctx context.Context, d document, who person, own []warehouse, status string) (int64, error) {
	var id int64
	err := u.tx.QueryRow(ctx, "select nextval(pg_get_serial_sequence($1, 'id'))", d.table).Scan(&id)
	if err != nil {
		return 0, err
	}
	now := time.Now()
	fields := []field{{"id", id}, {"number", d.number(id)}, {"company_id", who.company}, {"requested_by_id", who.id},
		{"status", status}}
	content := d.content(u.Rand, who, own, now)
	if _, err := u.insert(ctx, d.table, append(append(fields, content...), times(now)...)...); err != nil {
		return 0, err
	}
	if d.table != "procurement_purchaseorder" {
		return id, nil
	}
	return id, u.writeLines(ctx, id)
}

// decide approves most of what waits, rejects some, and tells who asked. An approved count corrects the stock.
func (u *unit) decide(ctx context.Context) error {
	q, err := u.take(ctx, pick(u.Rand, documents), "pending")
	if err != nil {
		return err
	}
	status := "approved"
	if u.IntN(5) == 0 {
		status = "rejected"
	}
	if err := u.conclude(ctx, q, status); err != nil {
		return err
	}
	if q.table == "inventory_physicalcount" && status == "approved" {
		if err := u.correct(ctx, q.id); err != nil {
			return err
		}
	}
	return u.tell(ctx, q, status)
}

func (u *unit) conclude(ctx context.Context, q request, status string) error {
	by := pick(u.Rand, members(u.people, q.company, q.approver))
	_, err := u.update(ctx, q.table,
		"status = $2, approved_by_id = $3, decided_at = now(), updated_at = now() where id = $1", q.id, status, by.id)
	return err
}

// pay pays out an approved expense or advance.
func (u *unit) pay(ctx context.Context) error {
	d := pick(u.Rand, documents[:2])
	q, err := u.take(ctx, d, "approved")
	if err != nil {
		return err
	}
	_, err = u.update(ctx, d.table, "status = 'paid', paid_at = now(), updated_at = now() where id = $1", q.id)
	if err != nil {
		return err
	}
	return u.tell(ctx, q, "paid")
}

// send makes a draft a request.
func (u *unit) send(ctx context.Context) error {
	q, err := u.take(ctx, pick(u.Rand, documents), "draft")
	if err != nil {
		return err
	}
	return u.move(ctx, q, "pending")
}

// edit touches a draft without any change that others care for.
func (u *unit) edit(ctx context.Context) error {
	q, err := u.take(ctx, pick(u.Rand, documents), "draft")
	if err != nil {
		return err
	}
	_, err = u.update(ctx, q.table, "updated_at = now() where id = $1", q.id)
	return err
}

// discard deletes a draft.
func (u *unit) discard(ctx context.Context) error {
	d := pick(u.Rand, documents[:4]) // nothing refers to these
	q, err := u.take(ctx, d, "draft")
	if err != nil {
		return err
	}
	return u.remove(ctx, d.table, q.id)
}

// thinkBetter decides, and rolls all of it back.
func (u *unit) thinkBetter(ctx context.Context) error {
	if err := u.decide(ctx); err != nil {
		return err
	}
	return errRefused
}

// numberTwice takes a number that is in use, as two clerks who type at once do: the savepoint is rolled back and the
// transaction goes on with a good number.
func (u *unit) numberTwice(ctx context.Context) error {
	d := kindOf("finance_expenserequest")
	who, own := author(u.Rand, u.people, u.sites, d)
	err := u.try(ctx, func(ctx context.Context, u *unit) error {
		if _, err := u.write(ctx, d, who, own, "draft"); err != nil {
			return err
		}
		_, err := u.update(ctx, d.table,
			"number = (select min(number) from "+d.table+") where id = currval(pg_get_serial_sequence($1, 'id'))", d.table)
		return err
	})
	if err == nil {
		return fmt.Errorf("number an expense request: a number was given twice")
	}
	if !isUniqueViolation(err) {
		return err
	}
	_, err = u.write(ctx, d, who, own, "draft")
	return err
}
