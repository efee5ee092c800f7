package audience

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/config"
)

// Authority tells who a token belongs to and what they may see. It is safe for concurrent use and has no goroutine.
type Authority struct {
	verifier  *verifier
	user      *template
	tenant    *template // nil: from the user query, or none
	grants    []*template
	directory *directory // nil: no queries
	log       *zap.Logger
}

// New makes the Authority that the configuration describes: it reads the keys, and refuses a key that does not fit its
// algorithms, a secret that is too short, and a template that can't be read. db runs the configured queries; it may be
// nil where there are none. Errors begin with the configuration's key and say what to do.
func New(cfg config.Auth, db Querier, log *zap.Logger) (*Authority, error) {
	if log == nil {
		log = zap.NewNop()
	}
	a := &Authority{log: log}
	var err error
	if a.verifier, err = newVerifier(cfg); err != nil {
		return nil, err
	}
	if a.user, err = parseTemplate(cfg.User); err != nil {
		return nil, fmt.Errorf("auth.user: %w", err)
	}
	if !a.user.readsClaims() {
		return nil, errors.New("auth.user: names no claim, so that everybody would be the same user: write {user_id}")
	}
	if cfg.Tenant != "" {
		if a.tenant, err = parseTemplate(cfg.Tenant); err != nil {
			return nil, fmt.Errorf("auth.tenant: %w", err)
		}
	}
	for i, source := range cfg.Grants {
		t, err := parseTemplate(source)
		if err != nil {
			return nil, fmt.Errorf("auth.grants[%d]: %w", i, err)
		}
		a.grants = append(a.grants, t)
	}
	if strings.TrimSpace(cfg.UserQuery+cfg.GrantsQuery) != "" {
		if db == nil {
			return nil, errors.New("auth: user_query and grants_query need a database")
		}
		a.directory = newDirectory(cfg, db, log)
	}
	return a, nil
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
// with ErrUnavailable where that could not be found out. With queries it may take a few seconds longer than ctx: a
// query is shared by all who ask for the same user, so it does not end with one of them.
func (a *Authority) Identify(ctx context.Context, token string) (*Identity, error) {
	claims, from, err := a.verifier.verify(token)
	if err != nil {
		return nil, err
	}
	user, err := required(a.user, claims, "user claim")
	if err != nil {
		return nil, err
	}
	p, err := a.lookUp(ctx, from.name, user)
	if err != nil {
		return nil, err
	}
	tenant, err := a.tenantOf(claims, p)
	if err != nil {
		return nil, err
	}
	grants, err := a.grantsOf(claims, p)
	if err != nil {
		return nil, err
	}
	name, _ := claims["name"].(string) // OpenID Connect Core 1.0, section 5.1
	if p.name != "" {
		name = p.name
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil { // the verifier has seen to it
		return nil, refuse("no exp")
	}
	return &Identity{
		Issuer: from.name, User: user, Tenant: tenant, Name: displayName(name), Grants: scoped(tenant, grants),
		Expires: expires.Time,
	}, nil
}

// OperatorClaim marks an operator's token (`rowfeed token --operator`): true opens the operator's listener.
const OperatorClaim = "rowfeed_operator"

// Operator tells whether the token is valid and an operator's. It needs no user and asks no database: it has to work
// when nothing else does.
func (a *Authority) Operator(token string) bool {
	claims, _, err := a.verifier.verify(token)
	return err == nil && claims[OperatorClaim] == true
}

// required returns the text of a template that must have one.
func required(t *template, claims jwt.MapClaims, what string) (string, error) {
	s, err := t.one(claims)
	switch {
	case err != nil:
		return "", refuse(what + " not usable")
	case s == "":
		return "", refuse(what + " missing")
	}
	return s, nil
}

// lookUp returns what the queries know of the user; nothing where there are none.
func (a *Authority) lookUp(ctx context.Context, issuer, user string) (*person, error) {
	if a.directory == nil {
		return &person{}, nil
	}
	return a.directory.person(ctx, issuer, user)
}

// tenantOf returns the tenant of token and query. Where both name one it has to be the same; where one of them is
// configured to, the tenant must not be empty.
func (a *Authority) tenantOf(claims jwt.MapClaims, p *person) (string, error) {
	if a.tenant == nil {
		if p.tenanted && p.tenant == "" {
			return "", refuse("user has no tenant")
		}
		return p.tenant, nil
	}
	tenant, err := required(a.tenant, claims, "tenant claim")
	if err != nil {
		return "", err
	}
	if p.tenant != "" && p.tenant != tenant {
		return "", refuse("tenant is not the user's")
	}
	return tenant, nil
}

// grantsOf returns the grants of token and query, not yet scoped. A template that can't be filled from these claims
// grants nothing, and takes nothing from the others.
func (a *Authority) grantsOf(claims jwt.MapClaims, p *person) ([]string, error) {
	grants := append(make([]string, 0, len(p.grants)+len(a.grants)), p.grants...)
	for _, t := range a.grants {
		texts, err := t.all(claims)
		if errors.Is(err, errTooMany) {
			return nil, refuse("too many grants")
		}
		if err != nil {
			t.warn.Do(func() {
				a.log.Warn("a grant template can't be filled from a token; it grants nothing",
					zap.String("template", t.source), zap.Error(err))
			})
			continue
		}
		grants = append(grants, texts...)
	}
	if len(grants) > maxGrants {
		return nil, refuse("too many grants")
	}
	return grants, nil
}
