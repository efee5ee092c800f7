package audience

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"nalar.internal/rowfeed/config"
)

func fuzzed(t testing.TB) *Authority {
	cfg := basic()
	cfg.Tenant = "{tenant}"
	cfg.Grants = []string{"user:{user_id}", "w:{w}", "{a.b}:{w}"}
	cfg.JWT.Claims = map[string]string{"type": "access"}
	cfg.JWT.Audience = "live"
	cfg.Issuers = []config.Issuer{{Name: "partner", Algorithms: []string{"HS512"}, Secret: key + "2"}}
	return newAuthority(t, cfg, nil)
}

// judge checks what must hold for any token.
func judge(t *testing.T, id *Identity, err error) {
	t.Helper()
	if err != nil {
		refusal, ok := errors.AsType[*Refusal](err)
		if !ok || id != nil || refusal.Reason == "" || len(refusal.Reason) > maxReason {
			t.Fatalf("got %+v, %v", id, err)
		}
		return
	}
	if id.User == "" || id.Tenant == "" || clean(id.User) != nil || clean(id.Tenant) != nil {
		t.Fatalf("got %+v", id)
	}
	if !slices.IsSorted(id.Grants) || len(slices.Compact(slices.Clone(id.Grants))) != len(id.Grants) {
		t.Fatalf("grants %q", id.Grants)
	}
	for _, g := range id.Grants {
		tenant, grant, ok := strings.Cut(g, "\x00")
		if !ok || tenant != id.Tenant && tenant != "\x01" || grant == "" || clean(grant) != nil {
			t.Fatalf("grant %q", g)
		}
	}
}

// FuzzIdentify has no key, so nothing it makes may pass but the one token it is given.
func FuzzIdentify(f *testing.F) {
	a := fuzzed(f)
	good := sign(f, jwt.SigningMethodHS256, []byte(key),
		rawClaims(`{"user_id":42,"tenant":"acme","exp":9e9,"type":"access","aud":"live","w":[1,2]}`))
	f.Add(good)
	f.Add(good + "=")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := a.Identify(t.Context(), token)
		judge(t, id, err)
		if id != nil && token != good {
			t.Fatalf("accepted %q", token)
		}
	})
}

// FuzzClaims signs whatever it makes.
func FuzzClaims(f *testing.F) {
	a := fuzzed(f)
	f.Add(`{"user_id":42,"tenant":"acme","exp":9e9,"type":"access","aud":"live","w":[1,"x",null],"a":{"b":true}}`)
	f.Add(`{"user_id":"\u0000","tenant":"\u0001","exp":1e400,"type":["access"],"aud":["live"],"w":[[{}]]}`)
	f.Add(`[]`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, payload string) {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, rawClaims(payload)).SignedString([]byte(key))
		if err != nil {
			return // not JSON
		}
		id, err := a.Identify(t.Context(), token)
		judge(t, id, err)
	})
}
