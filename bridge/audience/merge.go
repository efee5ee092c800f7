package audience

import (
	"errors"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"
)

// own is what a token says of its user by itself. It is merged with the queries' answer, and again when that changes, so
// it is kept with the identity; nobody can log in with it.
type own struct {
	issuer, user string
	tenant       string // empty where the tenant is not the token's to say
	tenanted     bool   // it is
	name         string
	grants       []claimed
	expires      time.Time
}

// claimed is what a template has made of claims: grants, not yet scoped.
type claimed struct {
	template *template
	grants   []string
}

// ownOf reads what a token says by itself. A claim that is missing grants nothing. One of the wrong type refuses the
// token: to go on without what it should grant would keep events from the user in silence.
func (a *Authority) ownOf(from *issuer, claims jwt.MapClaims, user string) (*own, error) {
	o := &own{issuer: from.name, user: user, tenanted: from.tenant != nil}
	var err error
	if o.tenanted {
		if o.tenant, err = a.required(from.tenant, claims, "tenant"); err != nil {
			return nil, err
		}
	}
	for _, t := range from.grants {
		texts, err := t.all(claims)
		if errors.Is(err, errTooMany) {
			return nil, refuse("too many grants")
		}
		if err != nil {
			a.unfilled("grants", t, err)
			return nil, refuse("grants claim not usable")
		}
		if len(texts) > 0 {
			o.grants = append(o.grants, claimed{t, texts})
		}
	}
	o.name, _ = claims["name"].(string) // OpenID Connect Core 1.0, section 5.1
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil { // the verifier has seen to it
		return nil, refuse("no exp")
	}
	o.expires = expires.Time
	return o, nil
}

// merge makes an identity of what the token and the queries say.
func (a *Authority) merge(o *own, p *person) (*Identity, error) {
	tenant, err := o.tenantWith(p)
	if err != nil {
		return nil, err
	}
	a.noteRepeated(o, p)
	grants := slices.Clone(p.grants)
	for _, c := range o.grants {
		grants = append(grants, c.grants...)
	}
	if len(grants) > maxGrants {
		return nil, refuse("too many grants")
	}
	name := o.name
	if p.name != "" {
		name = p.name
	}
	id := &Identity{
		Issuer: o.issuer, User: o.user, Tenant: tenant, Name: displayName(name), Grants: scoped(tenant, grants),
		Expires: o.expires, asOf: p.asOf,
	}
	if a.directory != nil {
		id.own = o
	}
	return id, nil
}

// tenantWith returns the tenant of token and query. Where both are configured to name one it has to be the same, and it
// must not be empty: who is in no tenant any more is not let into the one that an old token still names.
func (o *own) tenantWith(p *person) (string, error) {
	switch {
	case p.tenanted && p.tenant == "":
		return "", refuse("user has no tenant")
	case !o.tenanted:
		return p.tenant, nil
	case p.tenanted && p.tenant != o.tenant:
		return "", refuse("tenant is not the user's")
	}
	return o.tenant, nil
}

// noteRepeated warns, once a template, that a grant comes from the token and from the query: what the database takes away
// the token keeps alive until it expires.
func (a *Authority) noteRepeated(o *own, p *person) {
	if len(p.grants) == 0 {
		return
	}
	var queried map[string]bool
	for _, c := range o.grants {
		if c.template.repeats.Load() {
			continue
		}
		if queried == nil {
			queried = make(map[string]bool, len(p.grants))
			for _, g := range p.grants {
				queried[g] = true
			}
		}
		if !slices.ContainsFunc(c.grants, func(g string) bool { return queried[g] }) || c.template.repeats.Swap(true) {
			continue
		}
		a.log.Warn("a template makes a grant that auth.grants_query makes too: a user who loses it in the database keeps it "+
			"until the token expires: remove the template",
			zap.String("key", c.template.key), zap.String("template", c.template.source))
	}
}
