package audience

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/config"
)

// Authority tells who a token belongs to and what they may see. It is safe for concurrent use. Its only goroutines are
// those of Run, without which keys that issuers publish are fetched when the first token asks for them.
type Authority struct {
	verifier  *verifier
	directory *directory // nil: no queries
	faults    *faults
	stats     Stats
	log       *zap.Logger
}

// Option changes what an Authority is made of.
type Option func(*options)

type options struct{ client *http.Client }

// WithHTTPClient has keys fetched by this client, instead of one that trusts the system's certificates. Redirects and
// times are bounded all the same.
func WithHTTPClient(c *http.Client) Option { return func(o *options) { o.client = c } }

// New makes the Authority that the configuration describes: it reads the keys, and refuses a key that does not fit its
// algorithms, a secret that is too short, and a template that can't be read. db runs the configured queries; it may be
// nil where there are none. Errors begin with the configuration's key and say what to do.
func New(cfg config.Auth, db Querier, log *zap.Logger, with ...Option) (*Authority, error) {
	if log == nil {
		log = zap.NewNop()
	}
	var o options
	for _, set := range with {
		set(&o)
	}
	a := &Authority{log: log}
	a.faults = newFaults(&a.stats, log)
	var err error
	if a.verifier, err = newVerifier(cfg, o.client, log); err != nil {
		return nil, err
	}
	for _, r := range a.verifier.rings() {
		a.stats.KeySets = append(a.stats.KeySets, &r.stats)
	}
	if strings.TrimSpace(cfg.UserQuery+cfg.GrantsQuery) != "" {
		if db == nil {
			return nil, errors.New("auth: user_query and grants_query need a database")
		}
		a.directory = newDirectory(cfg, db, a.faults)
	}
	return a, nil
}

// Stats is what is measured.
func (a *Authority) Stats() *Stats { return &a.stats }

// Run keeps the keys that issuers publish up to date until ctx ends: it fetches them now, about each hour, and after a
// failure sooner.
func (a *Authority) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, r := range a.verifier.rings() {
		all.Go(func() { r.keep(ctx) })
	}
	<-ctx.Done()
	all.Wait()
	return nil
}

// Missing says in one line which keys are not there yet without which hardly anybody could be let in: those of auth.jwt,
// where they are fetched and have not been. A further issuer whose keys are missing does not keep the others' users out.
func (a *Authority) Missing() string {
	r := a.verifier.primary.ring
	if r == nil || r.stats.Fetched.Load() > 0 {
		return ""
	}
	return r.at + ": the keys have not been fetched yet: see the log for why, and `rowfeed doctor`"
}

// Check runs the configured queries once, for a user that need not exist, so that a table that isn't there, a missing
// right or a wrong number of columns shows at start and not at the first login.
func (a *Authority) Check(ctx context.Context) error {
	if a.directory == nil {
		return nil
	}
	return a.directory.check(ctx)
}

// Identify verifies a token and returns whose it is. It fails with a *Refusal where the token is not good enough, and
// with ErrUnavailable where that could not be found out. With queries, or keys to fetch, it may take a few seconds longer
// than ctx: a query is shared by all who ask for the same user, so it does not end with one of them.
func (a *Authority) Identify(ctx context.Context, token string) (*Identity, error) {
	id, err := a.identify(ctx, token)
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		a.stats.add(&a.stats.refusals, refusal.Reason)
	}
	return id, err
}

func (a *Authority) identify(ctx context.Context, token string) (*Identity, error) {
	claims, from, err := a.verifier.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	user, err := a.required(from.user, claims, "user")
	if err != nil {
		return nil, err
	}
	own, err := a.ownOf(from, claims, user)
	if err != nil {
		return nil, err
	}
	p, err := a.lookUp(ctx, from.name, user)
	if err != nil {
		return nil, err
	}
	return a.merge(own, p)
}

// OperatorClaim marks an operator's token (`rowfeed token --operator`): true opens the operator's listener.
const OperatorClaim = "rowfeed_operator"

// Operator tells whether the token is valid and an operator's, and returns whose it is, for the log; empty where it names
// no user. It asks no database: it has to work when nothing else does. Only auth.jwt's tokens can be: who vouches for
// users of their own does not run this place.
func (a *Authority) Operator(token string) (user string, ok bool) {
	claims, from, err := a.verifier.verify(context.Background(), token)
	if err != nil || !from.own || claims[OperatorClaim] != true {
		return "", false
	}
	user, _ = from.user.one(claims) // an operator need not be a user
	return user, true
}

// required returns the text of a template that must have one.
func (a *Authority) required(t *template, claims jwt.MapClaims, what string) (string, error) {
	s, err := t.one(claims)
	switch {
	case err != nil:
		a.unfilled(what, t, err)
		return "", refuse(what + " claim not usable")
	case s == "":
		return "", refuse(what + " claim missing")
	}
	return s, nil
}

// unfilled notes that a template could not be filled from a token.
func (a *Authority) unfilled(what string, t *template, err error) {
	a.faults.note(what+"_claim", t.key, "a template can't be filled from a token, which is refused",
		zap.String("template", t.source), zap.Error(err))
}

// lookUp returns what the queries know of the user; nothing where there are none.
func (a *Authority) lookUp(ctx context.Context, issuer, user string) (*person, error) {
	if a.directory == nil {
		return &person{}, nil
	}
	return a.directory.person(ctx, issuer, user)
}
