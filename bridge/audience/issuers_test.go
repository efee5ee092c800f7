package audience

import (
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
)

// TestIssuersAreApart: user 42 of two issuers are two people, for the queries and for the memo.
func TestIssuersAreApart(t *testing.T) {
	t.Parallel()
	_, db := setup(t)
	cfg := django()
	cfg.JWT.Issuer = "nalar"
	cfg.Issuers = []config.Issuer{
		{Name: "partner", Algorithms: []string{"HS256"}, Secret: key + "2", User: "{sub}", Grants: []string{"partner:{sub}"}},
		{Name: "office", Algorithms: []string{"HS256"}, Secret: key + "3", Claims: map[string]string{"typ": "ID"}, Tenant: "{org}"},
	}
	cfg.Grants = []string{"user:{user_id}"}
	cfg.UserQuery = `select company_id, first_name from auth_user where id = $1::int and $2 in ('nalar', 'office')
		union all select 9, 'Partner ' || $1 where $2 = 'partner'`
	cfg.GrantsQuery = "select 'role:' || $2 || '-' || $1"
	a := newAuthority(t, cfg, db)
	if err := a.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	with := func(secret string, c jwt.MapClaims) string {
		c["exp"] = time.Now().Add(time.Hour).Unix()
		return sign(t, jwt.SigningMethodHS256, []byte(secret), c)
	}
	for name, test := range map[string]struct {
		token, tenant, name string
		grants              []string
	}{
		"ours":    {with(key, jwt.MapClaims{"iss": "nalar", "user_id": 42}), "7", "Ana", []string{"role:nalar-42", "user:42"}},
		"partner": {with(key+"2", jwt.MapClaims{"iss": "partner", "sub": "42"}), "9", "Partner 42", []string{"partner:42", "role:partner-42"}},
		"office": {with(key+"3", jwt.MapClaims{"iss": "office", "user_id": 42, "typ": "ID", "org": 7}), "7", "Ana",
			[]string{"role:office-42"}},
	} {
		t.Run(name, func(t *testing.T) {
			id := identify(t, a, test.token)
			var want []string
			for _, g := range test.grants {
				want = append(want, change.Scope(test.tenant, g), change.Scope(change.AnyTenant, g))
			}
			slices.Sort(want)
			if id.User != "42" || id.Tenant != test.tenant || id.Name != test.name || !slices.Equal(id.Grants, want) {
				t.Errorf("got %+v, want grants %q", id, want)
			}
		})
	}
	wantRefusal(t, a, with(key+"3", jwt.MapClaims{"iss": "office", "user_id": 42, "org": 7}), "claim typ not accepted")
	wantRefusal(t, a, with(key+"3", jwt.MapClaims{"iss": "office", "user_id": 42, "typ": "ID", "org": 8}), "tenant is not the user's")
	wantRefusal(t, a, with(key+"2", jwt.MapClaims{"iss": "partner", "user_id": 42}), "user claim missing")
}

// TestClaimRepeatsQuery: the operator hears, once a template, of what would outlive its revocation.
func TestClaimRepeatsQuery(t *testing.T) {
	t.Parallel()
	_, db := setup(t)
	core, logs := observer.New(zap.WarnLevel)
	cfg := django()
	cfg.Grants = []string{"user:{user_id}", "role:{roles}"}
	a, err := New(cfg, db, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	identify(t, a, hs256(t, jwt.MapClaims{"user_id": 42, "roles": []string{"manager"}}))
	told := func() []observer.LoggedEntry { return logs.FilterMessageSnippet("makes too").All() }
	if len(told()) != 0 {
		t.Errorf("told of %v", told())
	}
	for range 3 {
		identify(t, a, hs256(t, jwt.MapClaims{"user_id": 42, "roles": []string{"manager", "buyer"}}))
	}
	if len(told()) != 1 || told()[0].ContextMap()["key"] != "auth.grants[1]" {
		t.Errorf("told of %v, want of auth.grants[1] once", told())
	}
}
