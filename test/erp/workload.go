package erp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Options says how hard the people of the sample ERP work.
type Options struct {
	Rate  float64 // committed changes a second in the tables that Config watches; required
	Seed  uint64  // of what each user chooses to do
	Users int     // who work at the same time; 0: 8

	BulkEvery time.Duration // between bulk updates of Rate × BulkEvery × 0.15 rows; 0: 10 s, negative: none
	SlowEvery time.Duration // between transactions that stay open; 0: 15 s, negative: none
	SlowFor   time.Duration // how long these stay open; 0: 3 s

	// Persist goes on when the server or a connection goes away, as an application server does. Otherwise Run ends.
	Persist bool
}

// bulkShare is how much of the rate is left to bulk updates.
const bulkShare = 0.15

// Ops counts row operations.
type Ops struct{ Insert, Update, Delete int64 }

// Result is what a workload did. What it counts was committed, except where it says otherwise.
type Result struct {
	Commits   int64
	Rollbacks int64          // on purpose: stock that would fall below zero, somebody who thought better of it
	Conflicts int64          // deadlocks and the like, rolled back by the server
	Failures  int64          // lost connections and refused ones; only with Persist
	Unknown   int64          // commits whose answer was lost with the connection: their rows are not counted
	Rows      map[string]Ops // of each table
	Elapsed   time.Duration  `json:"-"`
}

// Changes returns the row operations in the tables that Config watches.
func (r *Result) Changes() int64 {
	var n int64
	for table, ops := range r.Rows {
		if !unwatched[table] {
			n += ops.Insert + ops.Update + ops.Delete
		}
	}
	return n
}

// unwatched are the tables that the workload writes and Config has no rule for.
var unwatched = map[string]bool{"inventory_stockmovement": true, "procurement_purchaseorderline": true}

// workload is one Run.
type workload struct {
	Options
	pool   *pgxpool.Pool
	people []person
	sites  []warehouse
	pace   pacer

	mu     sync.Mutex
	result Result
}

// Run works until ctx is done, which is no error, and says what it did. Transactions that are under way then are
// finished first, so that the counts are exact. The pool connects as Role and has to hold Users+2 connections.
func Run(ctx context.Context, pool *pgxpool.Pool, opt Options) (Result, error) {
	w := &workload{Options: opt, pool: pool, result: Result{Rows: map[string]Ops{}}}
	if w.Rate <= 0 {
		return w.result, fmt.Errorf("run workload: rate is %v: say how many changes a second", w.Rate)
	}
	setDefault(&w.Users, 8)
	setDefault(&w.BulkEvery, 10*time.Second)
	setDefault(&w.SlowEvery, 15*time.Second)
	setDefault(&w.SlowFor, 3*time.Second)
	if err := w.meet(ctx); err != nil {
		return w.result, fmt.Errorf("run workload: read people: %w", err)
	}

	begin := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.pace = pacer{rate: w.Rate, next: begin}
	jobs := []func(context.Context, *rand.Rand) error{w.bulk, w.slow}
	for range w.Users {
		jobs = append(jobs, w.user)
	}
	errs := make([]error, len(jobs))
	var all sync.WaitGroup
	for i, job := range jobs {
		all.Go(func() {
			if errs[i] = job(ctx, rand.New(rand.NewPCG(w.Seed, uint64(i)))); errs[i] != nil {
				cancel() // the others finish what they are at
			}
		})
	}
	all.Wait()
	w.result.Elapsed = time.Since(begin)
	if err := errors.Join(errs...); err != nil {
		return w.result, fmt.Errorf("run workload: %w", err)
	}
	return w.result, nil
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// meet reads who works here.
func (w *workload) meet(ctx context.Context) error {
	rows, err := w.pool.Query(ctx, peopleSQL)
	if err != nil {
		return err
	}
	for rows.Next() {
		var p person
		if err := rows.Scan(&p.id, &p.company, &p.name, &p.groups, &p.warehouses); err != nil {
			return err
		}
		w.people = append(w.people, p)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows, err = w.pool.Query(ctx, "select id, company_id from inventory_warehouse order by id")
	if err != nil {
		return err
	}
	for rows.Next() {
		var s warehouse
		if err := rows.Scan(&s.id, &s.company); err != nil {
			return err
		}
		w.sites = append(w.sites, s)
	}
	return rows.Err()
}

// user is one person at work after another at one desk.
func (w *workload) user(ctx context.Context, r *rand.Rand) error {
	for {
		a := choose(r)
		if !w.pace.wait(ctx, a.rows) {
			return nil
		}
		n, err := w.transact(ctx, r, a.do)
		w.pace.settle(a.rows, n)
		if err != nil {
			return err
		}
	}
}

// bulk runs one large statement each BulkEvery, the first after half of it. The users leave room for it.
func (w *workload) bulk(ctx context.Context, r *rand.Rand) error {
	if w.BulkEvery < 0 {
		return nil
	}
	rows := int64(w.Rate * w.BulkEvery.Seconds() * bulkShare)
	if rows < 1 {
		return nil
	}
	w.pace.leave(w.Rate, float64(rows)/w.BulkEvery.Seconds())
	for rest := w.BulkEvery / 2; pause(ctx, rest); rest = w.BulkEvery {
		n, err := w.transact(ctx, r, func(ctx context.Context, u *unit) error {
			return u.reviewReorderLevels(ctx, rows)
		})
		if err != nil {
			return err
		}
		w.pace.leave(w.Rate, float64(n)/w.BulkEvery.Seconds())
	}
	return nil
}

// slow holds a transaction open each SlowEvery, with rows written before and after.
func (w *workload) slow(ctx context.Context, r *rand.Rand) error {
	if w.SlowEvery < 0 {
		return nil
	}
	for pause(ctx, w.SlowEvery) {
		_, err := w.transact(ctx, r, func(tctx context.Context, u *unit) error {
			if err := u.submit(tctx); err != nil {
				return err
			}
			pause(ctx, w.SlowFor) // cut short at the end, then committed
			return u.submit(tctx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// count adds what a transaction did.
func (w *workload) count(add func(*Result)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	add(&w.result)
}

// merge adds the rows of one count to another.
func merge(to, from map[string]Ops) {
	for table, ops := range maps.All(from) {
		sum := to[table]
		sum.Insert, sum.Update, sum.Delete = sum.Insert+ops.Insert, sum.Update+ops.Update, sum.Delete+ops.Delete
		to[table] = sum
	}
}
