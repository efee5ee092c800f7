package audience

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// key is the secret of the tests.
const key = "an example of thirty-two bytes, or more"

// basic is the smallest configuration: one secret, users by user_id.
func basic() config.Auth {
	return config.Auth{
		JWT:  config.JWT{Algorithms: []string{"HS256"}, Secret: key, Leeway: 30 * time.Second},
		User: "{user_id}",
	}
}

// claims are valid for an hour, with what is given on top; nil removes one.
func claims(more jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"user_id": 42, "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(c, more)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func sign(t testing.TB, method jwt.SigningMethod, key any, c jwt.Claims, header ...string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	for i := 0; i+1 < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
		if header[i+1] == "" {
			delete(token.Header, header[i])
		}
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sign256 signs with the tests' secret.
func sign256(t testing.TB, c jwt.Claims, header ...string) string {
	t.Helper()
	return sign(t, jwt.SigningMethodHS256, []byte(key), c, header...)
}

// hs256 signs claims that are valid but for what is given.
func hs256(t testing.TB, more jwt.MapClaims) string {
	t.Helper()
	return sign256(t, claims(more))
}

func newAuthority(t testing.TB, cfg config.Auth, db Querier) *Authority {
	t.Helper()
	a, err := New(cfg, db, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func identify(t testing.TB, a *Authority, token string) *Identity {
	t.Helper()
	id, err := a.Identify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// wantRefusal fails unless the token is refused for the reason.
func wantRefusal(t testing.TB, a *Authority, token, reason string) {
	t.Helper()
	id, err := a.Identify(t.Context(), token)
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok || id != nil {
		t.Fatalf("got %+v, %v; want a refusal: %s", id, err, reason)
	}
	if refusal.Reason != reason {
		t.Fatalf("refused for %q, want %q", refusal.Reason, reason)
	}
}

// decode reads claims as the verifier does.
func decode(t testing.TB, text string) map[string]any {
	t.Helper()
	token := sign256(t, rawClaims(text))
	c := jwt.MapClaims{}
	if _, _, err := jwt.NewParser(jwt.WithJSONNumber()).ParseUnverified(token, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// rawClaims is a payload of any JSON.
type rawClaims string

func (r rawClaims) MarshalJSON() ([]byte, error)               { return []byte(r), nil }
func (rawClaims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (rawClaims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (rawClaims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (rawClaims) GetIssuer() (string, error)                   { return "", nil }
func (rawClaims) GetSubject() (string, error)                  { return "", nil }
func (rawClaims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

var _ json.Marshaler = rawClaims("")
