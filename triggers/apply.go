package triggers

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

// SQLSTATEs that are answered to: PostgreSQL manual, appendix A.
const (
	lockNotAvailable = "55P03"
	deadlockDetected = "40P01"
	duplicateObject  = "42710"
	uniqueViolation  = "23505"
	dependentObjects = "2BP01"
	noPrivilege      = "42501"
	undefinedObject  = "42704"
	internalError    = "XX000"
)

// tries is how often a step asks for a lock, with pauses that grow to a few seconds.
const tries = 12

// readings is how often up reads the state when what its steps name goes away meanwhile.
const readings = 6

// Up does what Plan says, table by table, each in a transaction of its own, so that it can be run again where it
// stopped. Several at once are safe: they take turns, and each reads the state again when it is its turn. So it does when
// a role goes while it is at work: roles belong to the whole server, and a Down in another database may be dropping them.
// progress gets a line for each step, and for each lock that is waited for.
func Up(ctx context.Context, conn *pgx.Conn, target Target, progress func(string)) error {
	return locked(ctx, conn, target.Schema, progress, func() error {
		for reading := 1; ; reading++ {
			err := upOnce(ctx, conn, target, progress)
			var pgErr *pgconn.PgError
			if !errors.As(err, &pgErr) || pgErr.Code != undefinedObject || reading == readings {
				return err
			}
			progress(fmt.Sprintf("%s: what is there is read again, %d of %d", pgErr.Message, reading+1, readings))
			if err := sleep(ctx, rand.N(100*time.Millisecond)); err != nil {
				return fmt.Errorf("stopped: %w: run `rowfeed migrate up` again: it goes on from there", context.Cause(ctx))
			}
		}
	})
}

func upOnce(ctx context.Context, conn *pgx.Conn, target Target, progress func(string)) error {
	state, err := Inspect(ctx, conn, target)
	if err != nil {
		return err
	}
	if err := state.Err(); err != nil {
		return err
	}
	return run(ctx, conn, state.Plan(), progress, "up")
}

// runner executes the steps of a plan.
type runner struct {
	conn     *pgx.Conn
	steps    []Step
	done     []bool
	progress func(string)
	verb     string
}

// run executes steps in order. A table that others hold is put off until the rest is done, and then tried again: it
// stops nobody but itself.
func run(ctx context.Context, conn *pgx.Conn, steps []Step, progress func(string), verb string) error {
	r := &runner{conn: conn, steps: steps, done: make([]bool, len(steps)), progress: progress, verb: verb}
	pause := 100 * time.Millisecond
	for try := 1; ; try++ {
		left, err := r.round(ctx, try)
		switch {
		case err != nil:
			return r.stopped(ctx, err)
		case len(left) == 0:
			return nil
		case try == tries:
			return fmt.Errorf("%s: gave up after %d tries: end those transactions, or run `rowfeed migrate %s` again when it is "+
				"quiet: the rest is done", strings.Join(left, "; "), tries, verb)
		}
		// The writes that queued up behind the lock's request pass now.
		if err := sleep(ctx, pause+rand.N(pause)); err != nil {
			return r.stopped(ctx, err)
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// round tries each step that is left, once, and says of those that it could not do who holds what they need.
func (r *runner) round(ctx context.Context, try int) (left []string, err error) {
	held := map[string]bool{} // tables whose function is not there yet
	for i := range r.steps {
		step := &r.steps[i]
		if r.done[i] || step.late && len(left) > 0 || held[step.script] {
			continue
		}
		start := time.Now()
		err := execute(ctx, r.conn, step.SQL)
		waited := time.Since(start)
		if err == nil || madeMeanwhile(step, err) {
			r.done[i] = true
			r.progress(fmt.Sprintf("%d/%d %s%s", i+1, len(r.steps), step.What, after(waited)))
			continue
		}
		if !busy(err) {
			return nil, fmt.Errorf("%s: %w", step.What, err)
		}
		who := holders(ctx, r.conn, step)
		left = append(left, fmt.Sprintf("%s: locked by %s", step.What, who))
		if try < tries {
			r.progress(fmt.Sprintf("%d/%d %s: locked%s by %s: the rest first, then try %d of %d", i+1, len(r.steps), step.What,
				after(waited), who, try+1, tries))
		}
		if step.Table == "" {
			return left, nil // what follows rests on it
		}
		held[step.script] = true
	}
	return left, nil
}

// after says how long something took, where that is worth a word.
func after(d time.Duration) string {
	if d < 100*time.Millisecond {
		return ""
	}
	return fmt.Sprintf(", after %.1f s,", d.Seconds())
}

// busy tells whether a step did not get its lock in time.
func busy(err error) bool {
	code := stateOf(err)
	return code == lockNotAvailable || code == deadlockDetected
}

// madeMeanwhile tells that an up in another database of the cluster was faster to make the role.
func madeMeanwhile(step *Step, err error) bool {
	code := stateOf(err)
	return (code == duplicateObject || code == uniqueViolation) && strings.HasPrefix(step.SQL, "create role")
}

func stateOf(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// stopped adds to an error what is done and what is not. A step is done as a whole or not at all.
func (r *runner) stopped(ctx context.Context, err error) error {
	var left []string
	for i, done := range r.done {
		if !done {
			left = append(left, r.steps[i].What)
		}
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return fmt.Errorf("%w: done: %d of %d steps; not done: %s: run `rowfeed migrate %s` again: it goes on from there", err,
		len(r.steps)-len(left), len(r.steps), strings.Join(left, "; "), r.verb)
}

// execute runs statements in one transaction.
func execute(ctx context.Context, conn *pgx.Conn, sql string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, Preamble+sql, pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// holders says which sessions and prepared transactions hold a lock that is in the way of the step: who they are and
// since when, and nothing of what they do.
func holders(ctx context.Context, conn *pgx.Conn, step *Step) string {
	strong := strings.Contains(step.SQL, "in "+accessExclusive+" mode")
	rows, _ := conn.Query(ctx, query("holders"), step.oids, strong)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(list) == 0 {
		return "somebody who is gone again"
	}
	return strings.Join(list, " and ")
}
