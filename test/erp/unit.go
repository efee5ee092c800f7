package erp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	errNothing = errors.New("nothing to do")             // no such request is waiting: no transaction to speak of
	errRefused = errors.New("the business rule says no") // rolled back on purpose
)

const (
	transactionLimit = time.Minute            // of one transaction, lock waits included
	reconnectPause   = 200 * time.Millisecond // after a lost connection, with Persist
)

// unit is one transaction: its statements and the rows that they wrote.
type unit struct {
	*workload
	*rand.Rand
	tx   pgx.Tx
	rows map[string]Ops
}

// transact runs one transaction, counts what came of it, and returns how many watched rows it committed. Errors that
// belong to an ERP's day are counted; others are returned.
func (w *workload) transact(ctx context.Context, r *rand.Rand, do func(context.Context, *unit) error) (int64, error) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionLimit)
	defer cancel()
	u := &unit{workload: w, Rand: r, rows: map[string]Ops{}}
	committing := false
	err := func() error {
		tx, err := w.pool.Begin(own)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(own) }() // after a commit it does nothing
		u.tx = tx
		if err := do(own, u); err != nil {
			return err
		}
		committing = true
		return tx.Commit(own)
	}()
	if err == nil {
		w.count(func(to *Result) { to.Commits++; merge(to.Rows, u.rows) })
		return (&Result{Rows: u.rows}).Changes(), nil
	}
	return 0, w.explain(ctx, err, committing)
}

// explain counts an error, and returns it if it should end the workload.
func (w *workload) explain(ctx context.Context, err error, committing bool) error {
	var answer *pgconn.PgError
	answered := errors.As(err, &answer)
	switch {
	case errors.Is(err, errNothing):
		return nil
	case errors.Is(err, errRefused):
		w.count(func(to *Result) { to.Rollbacks++ })
		return nil
	case answered && strings.HasPrefix(answer.Code, "40"): // transaction rollback: deadlock, serialization failure
		w.count(func(to *Result) { to.Conflicts++ })
		return nil
	case !w.Persist:
		return err
	case answered && !strings.HasPrefix(answer.Code, "57P") && !strings.HasPrefix(answer.Code, "08"):
		return err // the server lives and says that a statement is wrong
	}
	w.count(func(to *Result) {
		to.Failures++
		if committing {
			to.Unknown++
		}
	})
	pause(ctx, reconnectPause)
	return nil
}

// insert adds a row and returns its id.
func (u *unit) insert(ctx context.Context, table string, fields ...field) (int64, error) {
	columns, places, values := make([]string, len(fields)), make([]string, len(fields)), make([]any, len(fields))
	for i, f := range fields {
		columns[i], places[i], values[i] = f.column, fmt.Sprintf("$%d", i+1), f.value
	}
	sql := fmt.Sprintf("insert into %s (%s) values (%s) returning id", table, strings.Join(columns, ", "),
		strings.Join(places, ", "))
	var id int64
	if err := u.tx.QueryRow(ctx, sql, values...).Scan(&id); err != nil {
		return 0, err
	}
	u.wrote(table, Ops{Insert: 1})
	return id, nil
}

// update runs an UPDATE of the table and returns how many rows it changed.
func (u *unit) update(ctx context.Context, table, set string, args ...any) (int64, error) {
	tag, err := u.tx.Exec(ctx, "update "+table+" set "+set, args...)
	if err != nil {
		return 0, err
	}
	u.wrote(table, Ops{Update: tag.RowsAffected()})
	return tag.RowsAffected(), nil
}

// remove deletes one row.
func (u *unit) remove(ctx context.Context, table string, id int64) error {
	tag, err := u.tx.Exec(ctx, "delete from "+table+" where id = $1", id)
	if err != nil {
		return err
	}
	u.wrote(table, Ops{Delete: tag.RowsAffected()})
	return nil
}

func (u *unit) wrote(table string, ops Ops) { merge(u.rows, map[string]Ops{table: ops}) }

// try runs do in a savepoint. What do wrote counts only if it returned nil.
func (u *unit) try(ctx context.Context, do func(context.Context, *unit) error) error {
	save, err := u.tx.Begin(ctx)
	if err != nil {
		return err
	}
	inner := &unit{workload: u.workload, Rand: u.Rand, tx: save, rows: map[string]Ops{}}
	if err := do(ctx, inner); err != nil {
		return errors.Join(err, save.Rollback(ctx))
	}
	if err := save.Commit(ctx); err != nil {
		return err
	}
	merge(u.rows, inner.rows)
	return nil
}

// notify puts a notification into the ERP's own table.
func (u *unit) notify(ctx context.Context, user int32, kind, message, link string) error {
	_, err := u.insert(ctx, "notifications_notification", field{"user_id", user}, field{"kind", kind},
		field{"message", message}, field{"link", link}, field{"created_at", time.Now()})
	return err
}
