package audience

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Renews tells whether there is anything that identities could be renewed by: queries.
func (a *Authority) Renews() bool { return a.directory != nil }

// Changed tells that what the queries read has changed for users, as UserKey has them, or for everybody. Answers that may
// have been asked for before are given to nobody any more, and make identities that are Stale.
func (a *Authority) Changed(all bool, users map[string]struct{}) {
	if a.directory != nil {
		a.directory.memo.change(all, users)
	}
}

// Stale tells whether what the identity is made of may have changed since it was looked up.
func (a *Authority) Stale(id *Identity) bool {
	return id.own != nil && a.directory.memo.stale(id.User, id.asOf)
}

// Answer is what the queries say of a user now.
type Answer struct {
	person *person
	Err    error // a *Refusal, or with ErrUnavailable in its chain
}

// lookUpLimit is how long LookUp waits for answers.
const lookUpLimit = time.Second

// LookUp asks anew about the users of identities, in one round trip on one connection: an answer for each, in their order.
// A query that fails for one user concerns no other; one that hangs, those who are asked after it: no answer is waited for
// longer than a second.
func (a *Authority) LookUp(ctx context.Context, ids []*Identity) []Answer {
	answers := make([]Answer, len(ids))
	d := a.directory
	if pool, ok := d.db.(*pgxpool.Pool); ok {
		d.askMany(ctx, pool, ids, answers)
		return answers
	}
	for i, id := range ids {
		answers[i] = d.answer(ctx, id)
	}
	return answers
}

// LookUpOne asks anew about one identity's user, by queries of their own.
func (a *Authority) LookUpOne(ctx context.Context, id *Identity) Answer {
	return a.directory.answer(ctx, id)
}

func (d *directory) answer(ctx context.Context, id *Identity) Answer {
	asOf := d.memo.now()
	ask := func(q query, k who, row func([][]byte) error) error { return d.ask(ctx, q, k, row) }
	p, err := d.find(ask, who{id.Issuer, id.User})
	if p != nil {
		p.asOf = asOf
	}
	return Answer{p, err}
}

// Renew merges an answer with what the identity's token says. It fails with a *Refusal where the user is not let in any
// more. The identity is not changed; one that knows of later changes than the answer is returned as it is.
func (a *Authority) Renew(id *Identity, answer Answer) (*Identity, error) {
	switch {
	case answer.Err != nil:
		return nil, answer.Err
	case answer.person.asOf < id.asOf:
		return id, nil
	}
	return a.merge(id.own, answer.person)
}

// askMany sends the queries of all and reads the answers after that.
func (d *directory) askMany(ctx context.Context, pool *pgxpool.Pool, ids []*Identity, answers []Answer) {
	asOf := d.memo.now()
	conn, err := pool.Acquire(ctx)
	if err == nil {
		defer conn.Release()
		ctx, cancel := context.WithTimeout(ctx, lookUpLimit)
		defer cancel()
		err = d.pipeline(ctx, conn, ids, answers, asOf)
	}
	if err == nil {
		return
	}
	for i := range answers {
		if answers[i] == (Answer{}) {
			answers[i].Err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// pipeline fills in answers, as far as the connection lives.
func (d *directory) pipeline(ctx context.Context, conn *pgxpool.Conn, ids []*Identity, answers []Answer, asOf uint64) error {
	var asked []query
	names := map[string]string{}
	for i, q := range []query{d.user, d.grants} {
		if q.sql == "" {
			continue
		}
		names[q.key] = "rowfeed_identity_" + strconv.Itoa(i)
		if _, err := conn.Conn().Prepare(ctx, names[q.key], q.sql); err != nil {
			return err
		}
		asked = append(asked, q)
	}
	pipe := conn.Conn().PgConn().StartPipeline(ctx)
	for _, id := range ids {
		for _, q := range asked {
			pipe.SendQueryPrepared(names[q.key], q.texts(who{id.Issuer, id.User}), nil, nil)
		}
		pipe.SendPipelineSync() // what fails ends here
	}
	err := pipe.Flush()
	failed := false
	for i := 0; i < len(ids) && err == nil; i++ {
		p, e := d.find(d.reading(pipe), who{ids[i].Issuer, ids[i].User})
		if p != nil {
			p.asOf = asOf
		}
		failed = failed || errors.Is(e, ErrUnavailable)
		if err = toSync(pipe); err == nil {
			answers[i] = Answer{p, e}
		}
	}
	if e := pipe.Close(); err == nil && !isServers(e) {
		err = e
	}
	if failed && err == nil { // the statement may be what is at fault: its tables have been altered
		for _, name := range names {
			_ = conn.Conn().Deallocate(ctx, name) // else the next one to prepare it hears of it
		}
	}
	return err
}

// isServers tells that an error is what the server answers to a query, on a connection that goes on.
func isServers(err error) bool {
	_, ok := errors.AsType[*pgconn.PgError](err)
	return ok || err == nil
}

// reading returns what reads the answers of a pipeline, in the order in which they were asked for.
func (d *directory) reading(pipe *pgconn.Pipeline) asker {
	return func(q query, _ who, row func([][]byte) error) error {
		result, err := pipe.GetResults()
		if err != nil {
			return d.blame(q, err)
		}
		r, ok := result.(*pgconn.ResultReader)
		if !ok {
			return fmt.Errorf("%w: %s: no answer", ErrUnavailable, q.key)
		}
		failed := q.checkColumns(len(r.FieldDescriptions()))
		for r.NextRow() {
			if failed == nil {
				failed = row(r.Values())
			}
		}
		if _, err := r.Close(); err != nil {
			return d.blame(q, err)
		}
		return failed
	}
}

// toSync passes over what is left of one user's answers.
func toSync(pipe *pgconn.Pipeline) error {
	for {
		result, err := pipe.GetResults()
		if !isServers(err) {
			return err
		}
		if _, ok := result.(*pgconn.PipelineSync); ok {
			return nil
		}
		if result == nil && err == nil {
			return errors.New("pipeline ended early")
		}
	}
}

// texts are the arguments in their text form.
func (q query) texts(k who) [][]byte {
	if q.issuer {
		return [][]byte{[]byte(k.user), []byte(k.issuer)}
	}
	return [][]byte{[]byte(k.user)}
}
