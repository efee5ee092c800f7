package bridge

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/operate"
	"nalar.internal/rowfeed/bridge/session"
)

// When tables behind the grants change, the sessions of the users concerned are held at once, their users are looked up,
// many in a round trip, and the sessions are settled as the answers come. What changes while answers are awaited is gathered
// and held when they are there, or a moment later. An answer to a question from before a hold is worth nothing to it, so in
// a storm of changes only those go on who are answered between two holds: those who have waited longest are asked first,
// few enough at a time that all get their turn.
const (
	deferHold   = 400 * time.Millisecond // how long a change waits for the answers to earlier ones
	lookUpLimit = 5 * time.Second        // how long a session is held without an answer
	retryFirst  = 100 * time.Millisecond
	retryMost   = time.Second
	lanes       = 3 // connections that users are asked about on: one of the pool's is left for those who log in
	retryLane   = 3 // users who are asked for again at the same time

	// How many users are asked about in a round trip: as many as take about that long.
	firstSegment, mostSegment = 4, 100
	quick, slow               = 50 * time.Millisecond, 150 * time.Millisecond
)

// renewals is the goroutine that does so. Those who got no answer are asked for one by one, beside the others: those whose
// queries hang keep nobody waiting, while they are few.
type renewals struct {
	authority *audience.Authority
	sessions  *session.Server
	stats     *operate.Renewals
	log       *zap.Logger

	mu      sync.Mutex
	waiting concerned // not held yet
	arrived time.Time // when the first of them came
	bell    chan struct{}

	// Of the goroutine.
	number  uint64 // of the last hold
	due     map[person]*task
	first   int // rounds under way
	again   int // likewise, of one user each
	segment int // users to a round
	answers chan round
	warned  time.Time
}

// person is a user as an issuer names them.
type person struct{ issuer, user string }

// task is a user who is to be looked up.
type task struct {
	who      *audience.Identity // of one of the sessions
	number   uint64             // of the hold
	sessions []*session.Session
	at       int64     // of the change, Unix microseconds; 0: unknown
	since    time.Time // held
	tries    int
	next     time.Time // when to try again
}

func (t *task) person() person { return person{t.who.Issuer, t.who.User} }

// round is what was asked together.
type round struct {
	again   bool
	tasks   []*task
	answers []audience.Answer
	took    time.Duration
}

func newRenewals(a *audience.Authority, s *session.Server, stats *operate.Renewals, log *zap.Logger) *renewals {
	return &renewals{
		authority: a, sessions: s, stats: stats, log: log,
		bell: make(chan struct{}, 1), due: map[person]*task{}, answers: make(chan round), segment: firstSegment,
	}
}

// changed takes note of changes; it does not wait.
func (r *renewals) changed(batch concerned) {
	r.authority.Changed(batch.all, batch.users)
	r.mu.Lock()
	if r.waiting.empty() {
		r.arrived = time.Now()
	}
	r.waiting.merge(batch)
	r.mu.Unlock()
	select {
	case r.bell <- struct{}{}:
	default:
	}
}

// run renews until ctx ends.
func (r *renewals) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(r.pause(time.Now()))
		select {
		case <-ctx.Done():
			for range r.first + r.again {
				<-r.answers
			}
			return nil
		case <-r.bell:
		case done := <-r.answers:
			r.settle(done)
		case <-timer.C:
		}
		now := time.Now()
		if batch := r.take(now); !batch.empty() {
			r.hold(batch, now)
		}
		r.giveUp(now)
		r.ask(ctx, now)
	}
}

// pause is how long there is nothing to do, but for what is heard of.
func (r *renewals) pause(now time.Time) time.Duration {
	until := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(until) {
			until = t
		}
	}
	r.mu.Lock()
	if !r.waiting.empty() {
		sooner(r.arrived.Add(deferHold))
	}
	r.mu.Unlock()
	for _, t := range r.due {
		sooner(t.since.Add(lookUpLimit))
		if t.tries > 0 && r.again < retryLane {
			sooner(t.next)
		}
	}
	return max(0, until.Sub(now))
}

// take returns what is to be held now.
func (r *renewals) take(now time.Time) concerned {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first > 0 && now.Sub(r.arrived) < deferHold {
		return concerned{}
	}
	batch := r.waiting
	r.waiting = concerned{}
	return batch
}

// hold holds the sessions concerned and makes the tasks.
func (r *renewals) hold(batch concerned, now time.Time) {
	r.number++
	held := r.sessions.Hold(r.number, batch.all, batch.users)
	if len(held) > 0 {
		r.observe(r.stats.Silence, batch.at)
	}
	for _, h := range held {
		k := person{h.Who.Issuer, h.Who.User}
		t := r.due[k]
		if t == nil || t.number != r.number {
			fresh := &task{who: h.Who, number: r.number, at: batch.at, since: now}
			if t != nil { // it has had no answer to an earlier change
				fresh.at, fresh.since, fresh.tries, fresh.next = cmp.Or(t.at, batch.at), t.since, t.tries, t.next
			}
			t, r.due[k] = fresh, fresh
		}
		t.sessions = append(t.sessions, h.Session)
	}
}

// observe notes how long ago the change was captured, by the clocks of the server and of this machine.
func (r *renewals) observe(h interface{ Observe(float64) }, at int64) {
	if at != 0 {
		h.Observe(max(0, time.Since(time.UnixMicro(at)).Seconds()))
	}
}

// ask begins the rounds that there is something for, and a connection.
func (r *renewals) ask(ctx context.Context, now time.Time) {
	var first, again []*task
	for _, t := range r.due {
		switch {
		case t.tries == 0 && r.first < lanes:
			first = append(first, t)
		case t.tries > 0 && r.again < retryLane && !now.Before(t.next):
			again = append(again, t)
		}
	}
	for _, list := range [][]*task{first, again} {
		slices.SortFunc(list, func(a, b *task) int { return a.since.Compare(b.since) })
	}
	for ; r.first < lanes && len(first) > 0; r.first++ {
		n := min(r.segment, len(first))
		r.begin(ctx, false, first[:n])
		first = first[n:]
	}
	for ; r.again < retryLane && len(again) > 0; r.again++ {
		r.begin(ctx, true, again[:1])
		again = again[1:]
	}
}

// begin asks about the users of tasks, the last of which has been held for the shortest time, as long as that may be held.
func (r *renewals) begin(ctx context.Context, again bool, tasks []*task) {
	ids := make([]*audience.Identity, len(tasks))
	for i, t := range tasks {
		ids[i] = t.who
		delete(r.due, t.person())
	}
	began := time.Now()
	until := tasks[len(tasks)-1].since.Add(lookUpLimit)
	go func() {
		limit, cancel := context.WithDeadline(ctx, until)
		defer cancel()
		done := round{again: again, tasks: tasks}
		if again {
			done.answers = []audience.Answer{r.authority.LookUpOne(limit, ids[0])}
		} else {
			done.answers = r.authority.LookUp(limit, ids)
		}
		done.took = time.Since(began)
		r.answers <- done
	}()
}

// ended notes that a round is over, and how long it took.
func (r *renewals) ended(done round) {
	switch {
	case done.again:
		r.again--
		return
	case done.took < quick && len(done.tasks) == r.segment:
		r.segment = min(2*r.segment, mostSegment)
	case done.took > slow:
		r.segment = max(1, min(r.segment, len(done.tasks))/2)
	}
	r.first--
}

// settle has the sessions of those who were answered go on, and keeps the others for another try.
func (r *renewals) settle(done round) {
	r.ended(done)
	outcomes := map[session.Outcome]int{}
	var failed int
	var why error
	for i, t := range done.tasks {
		answer := done.answers[i]
		if errors.Is(answer.Err, audience.ErrUnavailable) {
			failed++
			why = answer.Err
			r.retry(t)
			continue
		}
		r.answered(t)
		r.stats.Users.Inc()
		for _, s := range t.sessions {
			outcomes[s.Settle(t.number, func(id *audience.Identity) (*audience.Identity, error) {
				return r.authority.Renew(id, answer)
			})]++
		}
		r.observe(r.stats.Duration, t.at)
	}
	r.tell(outcomes, len(done.tasks)-failed)
	if failed > 0 {
		r.stats.Failures.Add(float64(failed))
		if now := time.Now(); now.Sub(r.warned) > time.Second {
			r.warned = now
			r.log.Warn("what users may see can't be looked up, trying again", zap.Int("users", failed), zap.Error(why))
		}
	}
}

// tell counts and logs how sessions went on.
func (r *renewals) tell(outcomes map[session.Outcome]int, users int) {
	for outcome, name := range map[session.Outcome]string{session.Same: "same", session.Changed: "changed", session.Refused: "refused"} {
		r.stats.Sessions.WithLabelValues(name).Add(float64(outcomes[outcome]))
	}
	if changed, refused := outcomes[session.Changed], outcomes[session.Refused]; changed+refused > 0 {
		r.log.Info("grants renewed", zap.Int("users", users), zap.Int("changed", changed), zap.Int("refused", refused),
			zap.Int("same", outcomes[session.Same]))
	}
}

// answered takes note that a task is done. Where a later hold has come meanwhile, the answer has been waited for in vain.
func (r *renewals) answered(t *task) {
	switch other := r.due[t.person()]; {
	case other == nil:
	case other.number > t.number:
		other.since = t.since
	default:
		delete(r.due, t.person())
	}
}

// retry keeps a task for later, unless a later hold has made it anew: only the answer to the last one ends it.
func (r *renewals) retry(t *task) {
	t.next = time.Now().Add(min(retryFirst<<min(t.tries, 5), retryMost))
	t.tries++
	if other := r.due[t.person()]; other != nil && other.number > t.number {
		other.since, other.tries, other.next = t.since, t.tries, t.next
		return
	}
	r.due[t.person()] = t
}

// giveUp closes the sessions that were held for too long.
func (r *renewals) giveUp(now time.Time) {
	closed := 0
	for k, t := range r.due {
		if now.Sub(t.since) < lookUpLimit {
			continue
		}
		delete(r.due, k)
		for _, s := range t.sessions {
			if s.GiveUp(t.number) {
				closed++
			}
		}
	}
	if closed > 0 {
		r.stats.Sessions.WithLabelValues("unknown").Add(float64(closed))
		r.log.Warn("sessions closed: what they may see can't be looked up", zap.Int("sessions", closed))
	}
}
