package audience

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
)

func TestIdentify(t *testing.T) {
	t.Parallel()
	cfg := basic()
	cfg.Tenant = "{company}"
	cfg.Grants = []string{
		"user:{user_id}", "warehouse:{warehouses}", "role:{realm.access.roles}", "gone:{missing}", "staff",
	}
	exp := time.Now().Add(time.Hour).Truncate(time.Second)
	id := identify(t, newAuthority(t, cfg, nil), hs256(t, jwt.MapClaims{
		"company": "acme", "name": "Ana\nLima", "exp": exp.Unix(), "warehouses": []int{7, 3, 7}, "nbf": nil,
		"realm": map[string]any{"access": map[string]any{"roles": []any{"buyer", nil, ""}}},
	}))
	if id.User != "42" || id.Tenant != "acme" || id.Name != "Ana Lima" || id.Issuer != "" {
		t.Errorf("got %+v", id)
	}
	if !id.Expires.Equal(exp) {
		t.Errorf("expires %v, want %v", id.Expires, exp)
	}
	var want []string
	for _, g := range []string{"user:42", "warehouse:3", "warehouse:7", "role:buyer", "staff"} {
		want = append(want, change.Scope("acme", g), change.Scope(change.AnyTenant, g))
	}
	slices.Sort(want)
	if !slices.Equal(id.Grants, want) {
		t.Errorf("grants %q, want %q", id.Grants, want)
	}
}

func TestIdentifyRefuses(t *testing.T) {
	t.Parallel()
	cfg := basic()
	cfg.JWT.Issuer, cfg.JWT.Audience = "nalar", "live"
	cfg.JWT.Claims = map[string]string{"token_type": "access", "level.is": "2"}
	cfg.Tenant = "{company}"
	cfg.Grants = []string{"a:{many}:{more}"}
	a := newAuthority(t, cfg, nil)
	good := jwt.MapClaims{"iss": "nalar", "aud": []string{"else", "live"}, "token_type": "access", "company": "acme",
		"level": map[string]any{"is": 2}}
	with := func(name string, v any) string {
		c := claims(good)
		c[name] = v
		return hs256(t, c)
	}
	identify(t, a, hs256(t, good))
	now := time.Now()
	many := make([]int, 100)
	unsigned := sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(good))
	nested := json.RawMessage(strings.Repeat("[", 50) + strings.Repeat("]", 50))
	tests := map[string]struct{ token, reason string }{
		"empty":            {"", "token missing"},
		"not a token":      {"Bearer", "token malformed"},
		"two parts":        {"a.b", "token malformed"},
		"four parts":       {with("x", 1) + ".e30", "token malformed"},
		"line break":       {strings.Replace(with("x", 1), ".", "\n.", 1), "token malformed"},
		"padding bits":     {loosen(t, with("x", 1)), "token malformed"},
		"huge":             {strings.Repeat("a", maxToken+1), "token too large"},
		"cut":              {with("x", 1)[:60], "token malformed"},
		"alg none":         {unsigned, "algorithm not allowed"},
		"alg None":         {forge(t, `{"alg":"None"}`, claims(good)), "algorithm not allowed"},
		"no alg":           {forge(t, `{}`, claims(good)), "algorithm not allowed"},
		"alg a list":       {forge(t, `{"alg":["HS256"]}`, claims(good)), "algorithm not allowed"},
		"other HMAC":       {sign(t, jwt.SigningMethodHS512, []byte(key), claims(good)), "algorithm not allowed"},
		"another key":      {sign(t, jwt.SigningMethodHS256, []byte(key+"!"), claims(good)), "signature invalid"},
		"empty key":        {sign(t, jwt.SigningMethodHS256, []byte{}, claims(good)), "signature invalid"},
		"other claims":     {transplant(with("company", "acme"), with("company", "nalar")), "signature invalid"},
		"no signature":     {with("x", 1)[:strings.LastIndexByte(with("x", 1), '.')+1], "signature invalid"},
		"expired":          {with("exp", now.Add(-time.Minute).Unix()), "token expired"},
		"exp zero":         {with("exp", 0), "token expired"},
		"missing exp":      {with("exp", nil), "no exp"},
		"null exp":         {sign256(t, rawClaims(`{"exp":null,"iss":"nalar"}`)), "no exp"},
		"exp a string":     {with("exp", "9999999999"), "exp not a date"},
		"exp beyond time":  {with("exp", json.Number("1e300")), "exp not a date"},
		"exp beyond float": {with("exp", json.Number("1e999")), "exp not a date"},
		"not yet":          {with("nbf", now.Add(time.Minute).Unix()), "token not yet valid"},
		"nbf a list":       {with("nbf", []int{1}), "nbf not a date"},
		"issued later":     {with("iat", now.Add(time.Minute).Unix()), "token not yet valid"},
		"other issuer":     {with("iss", "nalar2"), "issuer not accepted"},
		"no issuer":        {with("iss", nil), "issuer not accepted"},
		"issuer a list":    {with("iss", []string{"nalar"}), "issuer not accepted"},
		"other audience":   {with("aud", "dead"), "audience not accepted"},
		"no audience":      {with("aud", nil), "audience not accepted"},
		"audience number":  {with("aud", []int{1}), "audience not accepted"},
		"refresh token":    {with("token_type", "refresh"), "claim token_type not accepted"},
		"no token type":    {with("token_type", nil), "claim token_type not accepted"},
		"nested claim":     {with("level", map[string]any{"is": 3}), "claim level.is not accepted"},
		"logout token":     {sign256(t, claims(good), "typ", "logout+jwt"), "token type not accepted"},
		"critical header":  {sign256(t, claims(good), "crit", "b64"), "critical header not supported"},
		"deep":             {with("deep", nested), "claims nested too deeply"},
		"no user":          {with("user_id", nil), "user claim missing"},
		"empty user":       {with("user_id", ""), "user claim missing"},
		"user a list":      {with("user_id", []int{1}), "user claim not usable"},
		"user an object":   {with("user_id", map[string]int{"id": 1}), "user claim not usable"},
		"user with NUL":    {with("user_id", "1\x002"), "user claim not usable"},
		"user too long":    {with("user_id", strings.Repeat("1", maxValue+1)), "user claim not usable"},
		"no tenant":        {with("company", nil), "tenant claim missing"},
		"empty tenant":     {with("company", ""), "tenant claim missing"},
		"any tenant":       {with("company", change.AnyTenant), "tenant claim not usable"},
		"too many grants": {hs256(t, claims(jwt.MapClaims{"iss": "nalar", "aud": "live", "token_type": "access",
			"company": "acme", "level": map[string]any{"is": 2}, "many": many, "more": many})), "too many grants"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, a, test.token, test.reason)
		})
	}
}

// loosen sets an unused bit of the last character of the signature: 32 bytes leave two.
func loosen(t *testing.T, token string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	if last%4 != 0 {
		t.Fatalf("%q does not end in a canonical character", token)
	}
	return token[:len(token)-1] + string(alphabet[last+1])
}

// forge makes an unsigned token with a header of one's own.
func forge(t *testing.T, header string, c jwt.MapClaims) string {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(b) + "."
}

// transplant puts the signature of one token under the claims of another.
func transplant(from, to string) string {
	return to[:strings.LastIndexByte(to, '.')] + from[strings.LastIndexByte(from, '.'):]
}

func TestIdentifyAccepts(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := newAuthority(t, basic(), nil)
	for name, token := range map[string]string{
		"expired within leeway":   hs256(t, jwt.MapClaims{"exp": now.Add(-10 * time.Second).Unix()}),
		"not yet within leeway":   hs256(t, jwt.MapClaims{"nbf": now.Add(10 * time.Second).Unix()}),
		"fractions of a second":   hs256(t, jwt.MapClaims{"exp": float64(now.Add(time.Hour).UnixMilli()) / 1000}),
		"null nbf":                sign256(t, rawClaims(`{"user_id":42,"exp":9e9,"nbf":null}`)),
		"no typ":                  sign256(t, claims(nil), "typ", ""),
		"access token (RFC 9068)": sign256(t, claims(nil), "typ", "application/at+JWT"),
		"some issuer":             hs256(t, jwt.MapClaims{"iss": "whoever has the key"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := identify(t, a, token)
			if id.User != "42" {
				t.Errorf("user %q, want 42", id.User)
			}
		})
	}
}

func TestIdentifyKeepsDigits(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, basic(), nil)
	for _, digits := range []string{"42", "9007199254740993", "123456789012345678901234567890"} {
		id := identify(t, a, sign256(t, rawClaims(`{"user_id":`+digits+`,"exp":9e9}`)))
		if id.User != digits {
			t.Errorf("user %s, want %s", id.User, digits)
		}
	}
}

// TestClaimOfWrongType: it is the user's own trouble and the operator's, who is told where, once a minute.
func TestClaimOfWrongType(t *testing.T) {
	t.Parallel()
	cfg := basic()
	cfg.Tenant = "{company}"
	cfg.Grants = []string{"user:{user_id}", "warehouse:{warehouses}", "role:{role}"}
	core, logs := observer.New(zap.WarnLevel)
	a, err := New(cfg, nil, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	sesame := map[string]any{"sesame": "sesame"}
	with := func(more jwt.MapClaims) string {
		c := jwt.MapClaims{"company": "acme"}
		maps.Copy(c, more)
		return hs256(t, c)
	}
	for range 3 {
		wantRefusal(t, a, with(jwt.MapClaims{"user_id": sesame}), "user claim not usable")
		wantRefusal(t, a, with(jwt.MapClaims{"company": "sesame\x00"}), "tenant claim not usable")
		wantRefusal(t, a, with(jwt.MapClaims{"warehouses": []any{1, []any{"sesame"}}}), "grants claim not usable")
		wantRefusal(t, a, with(jwt.MapClaims{"role": sesame}), "grants claim not usable")
		id := identify(t, a, with(jwt.MapClaims{"role": []any{nil, ""}, "warehouses": nil}))
		want := []string{change.Scope("acme", "user:42"), change.Scope(change.AnyTenant, "user:42")}
		slices.Sort(want)
		if !slices.Equal(id.Grants, want) {
			t.Errorf("grants %q, want %q", id.Grants, want)
		}
	}
	if want := (map[string]uint64{"user_claim": 3, "tenant_claim": 3, "grants_claim": 6}); !maps.Equal(a.Stats().Faults(), want) {
		t.Errorf("counted %v, want %v", a.Stats().Faults(), want)
	}
	if n := a.Stats().Refusals()["grants claim not usable"]; n != 6 {
		t.Errorf("%d refusals counted, want 6", n)
	}
	var keys []string
	for _, line := range logs.All() {
		b, err := json.Marshal(line.ContextMap())
		if err != nil || strings.Contains(string(b), "sesame") {
			t.Errorf("logged %s, %v", b, err)
		}
		keys = append(keys, line.ContextMap()["key"].(string))
	}
	if want := []string{"auth.user", "auth.tenant", "auth.grants[1]", "auth.grants[2]"}; !slices.Equal(keys, want) {
		t.Errorf("told of %q, want %q, each once", keys, want)
	}
}

func TestIdentifyFurtherIssuer(t *testing.T) {
	t.Parallel()
	partner := "another secret of the partner's, long enough"
	cfg := basic()
	cfg.Issuers = []config.Issuer{{Name: "partner", Algorithms: []string{"HS512"}, Secret: partner, Audience: "live"}}
	a := newAuthority(t, cfg, nil)
	theirs := func(method jwt.SigningMethod, more jwt.MapClaims) string {
		return sign(t, method, []byte(partner), claims(more))
	}
	id := identify(t, a, theirs(jwt.SigningMethodHS512, jwt.MapClaims{"iss": "partner", "aud": "live"}))
	if id.Issuer != "partner" || id.User != "42" {
		t.Errorf("got %+v", id)
	}
	if id := identify(t, a, hs256(t, nil)); id.Issuer != "" {
		t.Errorf("got %+v", id)
	}
	for name, test := range map[string]struct{ token, reason string }{
		"ours as the partner": {hs256(t, jwt.MapClaims{"iss": "partner", "aud": "live"}), "algorithm not allowed"},
		"the partner as ours": {theirs(jwt.SigningMethodHS256, nil), "signature invalid"},
		"nobody's":            {theirs(jwt.SigningMethodHS512, jwt.MapClaims{"iss": "partner2"}), "algorithm not allowed"},
		"theirs, ours in alg": {theirs(jwt.SigningMethodHS256, jwt.MapClaims{"iss": "partner"}), "algorithm not allowed"},
		"theirs, no audience": {theirs(jwt.SigningMethodHS512, jwt.MapClaims{"iss": "partner"}), "audience not accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, a, test.token, test.reason)
		})
	}
}

func BenchmarkIdentify(b *testing.B) {
	cfg := basic()
	cfg.Grants = []string{"user:{user_id}", "warehouse:{warehouses}"}
	a := newAuthority(b, cfg, nil)
	token := hs256(b, jwt.MapClaims{"warehouses": []int{1, 2, 3, 4}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Identify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
