package audience

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/config"
)

const (
	fetchTimeout = 5 * time.Second  // of one fetch of a key set, redirects and body included
	refreshEvery = time.Hour        // about: nodes that began together must not come together for ever
	retryMost    = time.Minute      // between fetches that fail, which begin a second apart
	fetchPause   = 10 * time.Second // after a fetch, before a token with an unknown key causes another
	maxWaiting   = 1000             // tokens that wait for a fetch
)

// KeyStats is what is measured of a key set.
type KeyStats struct {
	Issuer   string        // its name; empty: auth.jwt without one
	Fetches  atomic.Uint64 // that succeeded
	Failures atomic.Uint64
	Keys     atomic.Int64 // that can be used
	Fetched  atomic.Int64 // when it was last fetched, unix seconds; 0: never
	Unknown  atomic.Uint64
}

// ring holds the keys that an issuer publishes. A token whose key is not among them has the set fetched, once for all
// who wait, and not again before fetchPause is over: a flood of made-up key ids costs the key server one request in ten
// seconds and everybody else nothing. What can't be fetched leaves the keys as they are.
type ring struct {
	at      string // the configuration's key
	address string
	client  *http.Client
	log     *zap.Logger
	pause   time.Duration
	shelves map[string]*shelf // by algorithm; a key is never used by another
	stats   KeyStats

	mu      sync.Mutex
	fetch   *fetch    // under way, or nil
	last    time.Time // when the last one ended
	waiting int
	told    string // what was last logged of unusable keys
}

// shelf is the keys of one algorithm.
type shelf struct {
	*jwkset.MemoryJWKSet
	ring *ring
	find keyfunc.Keyfunc
}

// keysError says why keys could not be had. It is ErrUnavailable.
type keysError struct {
	at  string
	err error
}

func (e *keysError) Error() string   { return fmt.Sprintf("%v: %s: %v", ErrUnavailable, e.at, e.err) }
func (e *keysError) Unwrap() []error { return []error{ErrUnavailable, e.err} }

var (
	errAskedAlready = errors.New("asked a moment ago")
	errNotYetThere  = errors.New("the set fetched a moment ago does not have a token's key")
	errCrowd        = errors.New("too many tokens wait for the keys")
	errEndedEarly   = errors.New("the fetch did not end")
)

// fetch is one under way; err is set before done is closed.
type fetch struct {
	done chan struct{}
	err  error
}

func newRing(at string, cfg config.JWT, client *http.Client, log *zap.Logger) (*ring, error) {
	if client == nil {
		client = newClient()
	}
	r := &ring{at: at + ".jwks_url", address: cfg.JWKSURL, client: secured(client), log: log, pause: fetchPause,
		shelves: make(map[string]*shelf, len(cfg.Algorithms))}
	r.stats.Issuer = cfg.Issuer
	for _, algorithm := range cfg.Algorithms {
		s := &shelf{MemoryJWKSet: jwkset.NewMemoryStorage(), ring: r}
		var err error
		s.find, err = keyfunc.New(keyfunc.Options{Storage: s, UseWhitelist: []jwkset.USE{"", jwkset.UseSig}})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.at, err)
		}
		r.shelves[algorithm] = s
	}
	return r, nil
}

// key returns the key that the token names by kid. One that names none is accepted where only one key could be meant.
func (r *ring) key(ctx context.Context, t *jwt.Token) (any, error) {
	s, ok := r.shelves[t.Method.Alg()]
	if !ok {
		return nil, errAlgorithm
	}
	switch kid := t.Header[jwkset.HeaderKID].(type) {
	case string:
		if kid != "" {
			return s.find.KeyfuncCtx(ctx)(t)
		}
	case nil:
	default:
		return nil, refuse("key id malformed")
	}
	if r.stats.Fetched.Load() == 0 {
		if _, err := r.ask(ctx); err != nil {
			return nil, err
		}
	}
	keys, err := s.KeyReadAll(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(keys) == 0:
		return nil, refuse("key unknown")
	case len(keys) > 1:
		return nil, refuse("key id missing")
	}
	return keys[0].Key(), nil
}

// guesses tells that the token names no key, so that the one key there is was tried.
func (r *ring) guesses(t *jwt.Token) bool {
	kid, _ := t.Header[jwkset.HeaderKID].(string)
	return kid == ""
}

// KeyRead implements jwkset.Storage. That there is no such key is said only of a set that was asked for after the token
// came: else it may be one that the issuer has just begun to use, and the client should come again.
func (s *shelf) KeyRead(ctx context.Context, id string) (jwkset.JWK, error) {
	key, err := s.MemoryJWKSet.KeyRead(ctx, id)
	if err == nil {
		return key, nil
	}
	s.ring.stats.Unknown.Add(1)
	fresh, err := s.ring.ask(ctx)
	if err != nil {
		return key, err
	}
	switch key, err = s.MemoryJWKSet.KeyRead(ctx, id); {
	case err == nil:
		return key, nil
	case fresh:
		return key, refuse("key unknown")
	}
	return key, &keysError{s.ring.at, errNotYetThere}
}

// ask has the set fetched for a token, or waits for a fetch that is under way; fresh says that it began after the call.
// A fetch that it begins outlives ctx, which is that of the one of several who came first.
func (r *ring) ask(ctx context.Context) (fresh bool, err error) {
	r.mu.Lock()
	f := r.fetch
	switch {
	case f == nil && !r.last.IsZero() && time.Since(r.last) < r.pause:
		r.mu.Unlock()
		return false, &keysError{r.at, errAskedAlready}
	case f == nil:
		f = r.begin()
		r.mu.Unlock()
		r.run(context.WithoutCancel(ctx), f)
		return true, f.err
	case r.waiting >= maxWaiting:
		r.mu.Unlock()
		return false, &keysError{r.at, errCrowd}
	}
	r.waiting++
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.waiting--
		r.mu.Unlock()
	}()
	select {
	case <-f.done:
		return false, f.err
	case <-ctx.Done():
		return false, &keysError{r.at, context.Cause(ctx)}
	}
}

// begin notes that a fetch is under way; r.mu is held.
func (r *ring) begin() *fetch {
	r.fetch = &fetch{done: make(chan struct{}), err: &keysError{r.at, errEndedEarly}}
	return r.fetch
}

// run fetches the set in its caller's goroutine.
func (r *ring) run(ctx context.Context, f *fetch) {
	defer func() {
		r.mu.Lock()
		r.fetch, r.last = nil, time.Now()
		r.mu.Unlock()
		close(f.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	algorithms := make([]string, 0, len(r.shelves))
	for algorithm := range r.shelves {
		algorithms = append(algorithms, algorithm)
	}
	set, err := fetchSet(ctx, r.client, r.address, algorithms)
	if err != nil {
		r.stats.Failures.Add(1)
		r.log.Warn("keys not fetched, those known stay in use", zap.String("key", r.at), zap.String("issuer", r.stats.Issuer),
			zap.Error(err))
		f.err = &keysError{r.at, err}
		return
	}
	f.err = r.take(ctx, set)
}

// take puts a fetched set into the shelves.
func (r *ring) take(ctx context.Context, set *keySet) error {
	for algorithm, s := range r.shelves {
		if err := s.KeyReplaceAll(ctx, set.keys[algorithm]); err != nil {
			return err
		}
	}
	n := set.count()
	r.stats.Fetches.Add(1)
	first := r.stats.Fetched.Swap(time.Now().Unix()) == 0
	changed := r.stats.Keys.Swap(int64(n)) != int64(n)
	r.mu.Lock()
	news := set.explain() != r.told
	r.told = set.explain()
	r.mu.Unlock()
	fields := []zap.Field{zap.String("key", r.at), zap.String("issuer", r.stats.Issuer), zap.Int("keys", n)}
	if len(set.skipped) > 0 {
		fields = append(fields, zap.Strings("not used", set.skipped))
	}
	switch {
	case n == 0 && (first || changed || news):
		r.log.Error("no key fits auth's algorithms: tokens of this issuer are refused", fields...)
	case first || changed || news:
		r.log.Info("keys fetched", fields...)
	}
	return nil
}

// keep fetches the set now, then about each hour, until ctx ends; sooner after a fetch that failed.
func (r *ring) keep(ctx context.Context) {
	retry := time.Second
	for ctx.Err() == nil {
		wait := refreshEvery - time.Duration(rand.Int64N(int64(refreshEvery/10)))
		if err := r.refresh(ctx); err != nil {
			wait, retry = retry, min(2*retry, retryMost)
		} else {
			retry = time.Second
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// refresh fetches the set, whatever the pause, or waits for the fetch that is under way.
func (r *ring) refresh(ctx context.Context) error {
	r.mu.Lock()
	f := r.fetch
	if f == nil {
		f = r.begin()
		r.mu.Unlock()
		r.run(ctx, f)
		return f.err
	}
	r.mu.Unlock()
	<-f.done // in fetchTimeout
	return f.err
}
