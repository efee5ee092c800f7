package source

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	//go:embed queries/attend.sql
	attendSQL string
	//go:embed queries/shut.sql
	shutSQL string
	//go:embed queries/ring.sql
	ringSQL string
)

var (
	errNoSession = errors.New("lead channel: the connection leads to a pooler or a standby: let database.url name the server itself")
	errStalled   = errors.New("lead channel: the sweep is not answered")
)

// answerTime bounds each statement of the leader's session.
const answerTime = 2 * time.Second

// attend leads the channel, or waits until it may, while that is wanted.
func (d *door) attend(ctx context.Context, wait *backoff) error {
	conn, err := d.f.o.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		conn.Close(ctx)
	}()
	s := &session{d: d, conn: conn}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer d.stand(away)
	for d.wanted.Load() && ctx.Err() == nil {
		_, leaderKey := d.keys()
		first, err := s.try(ctx, leaderKey)
		if err != nil {
			return err
		}
		if first {
			wait.reset()
			return s.lead(ctx)
		}
		d.stand(following)
		s.pause(ctx, followTime)
	}
	return nil
}

// session is the leader's.
type session struct {
	d    *door
	conn *pgx.Conn
}

func (s *session) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	ours := false
	seconds, millis := strconv.Itoa(int(silence.Seconds())), strconv.Itoa(int(tryTime.Milliseconds()))
	err := s.conn.QueryRow(ctx, attendSQL, s.conn.PgConn().PID(), "rowfeed door "+s.d.f.o.Channel, seconds, millis).
		Scan(&ours, nil, nil, nil, nil, nil, nil, nil)
	switch {
	case err != nil:
		return fmt.Errorf("lead channel: %w", err)
	case !ours:
		return errNoSession
	}
	return nil
}

// try takes a lock, which may be ours already, if it is free.
func (s *session) try(ctx context.Context, key int64) (ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := s.conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", key).Scan(&ok); err != nil {
		return false, fmt.Errorf("lock channel: %w", err)
	}
	return ok, nil
}

func (s *session) exec(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if _, err := s.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("lead channel: %w", err)
	}
	return nil
}

// lead keeps the door until that is no longer wanted. Locks that it can't give back go with the session, when the server
// ends it; until then commits may go on not to ring.
func (s *session) lead(ctx context.Context) (err error) {
	d := s.d
	d.f.Stats.Led.Add(1)
	d.stand(trying)
	defer func() {
		if failed := s.exec(context.WithoutCancel(ctx), "select pg_advisory_unlock_all()"); failed != nil {
			until(&d.led, silence+time.Second)
			if err == nil {
				err = failed
			}
		}
		d.f.Stats.Leading.Store(false)
		until(&d.brisk, briskly)
		d.stand(away)
	}()
	var rung, renewed time.Time
	for d.wanted.Load() && ctx.Err() == nil {
		if d.f.Stats.SinceSweep() > stall {
			return errStalled
		}
		if err := s.shut(ctx); err != nil {
			return err
		}
		found := s.await(ctx, rung.Add(ringEvery), renewed.Add(renewal))
		if !found && time.Since(renewed) < renewal {
			continue
		}
		if renewed = time.Now(); found {
			rung = renewed
		}
		if err := s.ring(ctx, found); err != nil {
			return err
		}
	}
	return nil
}

// shut waits a moment for the door's lock, if it is not ours yet.
func (s *session) shut(ctx context.Context) error {
	if stance(s.d.stance.Load()) == leading {
		return nil
	}
	doorKey, _ := s.d.keys()
	s.d.f.Stats.Tries.Add(1)
	if err := s.exec(ctx, strings.ReplaceAll(shutSQL, "{key}", fmt.Sprintf("'%d'::pg_catalog.int8", doorKey))); err != nil {
		return err
	}
	ours, err := s.try(ctx, doorKey)
	if ours {
		s.d.f.Stats.Leading.Store(true)
		s.d.stand(leading)
	}
	return err
}

// await waits until something was found, which counts from a time on, or until another; not at all while the door's lock
// has to be waited for. It tells whether something was found.
func (s *session) await(ctx context.Context, from, to time.Time) bool {
	d := s.d
	if stance(d.stance.Load()) != leading {
		if time.Now().Before(from) {
			return false
		}
		select {
		case <-d.found:
			return true
		default:
			return false
		}
	}
	if rest := time.Until(from); rest > 0 {
		s.pause(ctx, rest)
	}
	timer := time.NewTimer(time.Until(to))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-d.wake:
	case <-d.found:
		return true
	}
	return false
}

// pause waits, unless it is no longer wanted to.
func (s *session) pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-s.d.wake:
	}
}

// ring tells the other nodes that there is something to sweep, or that this one still leads. Where there are none it
// keeps the session.
func (s *session) ring(ctx context.Context, found bool) error {
	if s.d.alone() {
		if found {
			return nil
		}
		return s.exec(ctx, "select")
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	rung, err := Ring(ctx, s.conn, *s.d.f.notify.Load(), leaderMark+s.d.node)
	if err != nil {
		return fmt.Errorf("lead channel: %w", err)
	}
	if rung { // else they find by themselves that captures don't ring
		s.d.f.Stats.Rings.Add(1)
	}
	return nil
}

// Ring notifies by a statement of its own, as captures do: not where the queue of notifications is over half full, for what
// fills it makes the ERP's own NOTIFY fail. It tells whether it did.
func Ring(ctx context.Context, db interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}, channel, payload string) (bool, error) {
	tag, err := db.Exec(ctx, ringSQL, channel, payload)
	return tag.RowsAffected() > 0, err
}
