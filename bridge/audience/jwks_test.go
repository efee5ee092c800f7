package audience

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nalar.internal/rowfeed/config"
)

// An issuer that names no keys has a new one: its tokens are not refused until the hour is over.
func TestUnnamedKeyRotation(t *testing.T) {
	t.Parallel()
	old, next := newES256(t), newES256(t)
	s := newKeyServer(t, published(t, old, ""))
	a := s.authority(t, s.config("ES256"), zap.NewNop())
	identify(t, a, es256(t, old, "", nil))
	s.publish(published(t, next, ""))
	identify(t, a, es256(t, old, "", nil))
	identify(t, a, es256(t, next, "", nil))
	wantRefusal(t, a, es256(t, old, "", nil), "signature invalid")
	for _, r := range a.verifier.rings() {
		r.pause = time.Hour
	}
	asked := s.asked.Load()
	for range 3 {
		wantUnavailable(t, a, es256(t, old, "", nil), "asked a moment ago")
	}
	identify(t, a, es256(t, next, "", nil))
	if n := s.asked.Load() - asked; n != 0 {
		t.Errorf("forged tokens cost %d fetches", n)
	}
}

func TestKeySetRotation(t *testing.T) {
	t.Parallel()
	old, next := newES256(t), newES256(t)
	s := newKeyServer(t, published(t, old, "1"))
	core, logs := observer.New(zap.InfoLevel)
	a := s.authority(t, s.config("ES256"), zap.New(core))
	if a.Missing() == "" {
		t.Error("nothing is missing before the first fetch")
	}
	for range 3 {
		identify(t, a, es256(t, old, "1", nil))
	}
	if n := s.asked.Load(); n != 1 || a.Missing() != "" {
		t.Fatalf("%d requests for a key that is known, missing: %q", n, a.Missing())
	}
	wantRefusal(t, a, es256(t, next, "2", nil), "key unknown")
	wantRefusal(t, a, es256(t, next, "1", nil), "signature invalid")

	s.publish(published(t, old, "1"), published(t, next, "2"))
	identify(t, a, es256(t, next, "2", nil))
	identify(t, a, es256(t, old, "1", nil))

	s.publish(published(t, next, "2"))
	if err := a.verifier.primary.ring.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, a, es256(t, old, "1", nil), "key unknown")
	identify(t, a, es256(t, next, "2", nil))

	s.answers(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "out of order", http.StatusBadGateway) })
	wantUnavailable(t, a, es256(t, old, "1", nil), "auth.jwt.jwks_url: answers with status 502")
	identify(t, a, es256(t, next, "2", nil)) // what is known stays
	stats := a.Stats().KeySets[0]
	if stats.Failures.Load() != 1 || stats.Keys.Load() != 1 || stats.Unknown.Load() == 0 {
		t.Errorf("%d failures, %d keys, %d unknown", stats.Failures.Load(), stats.Keys.Load(), stats.Unknown.Load())
	}
	if n := logs.FilterMessageSnippet("keys not fetched").Len(); n != 1 {
		t.Errorf("a failed fetch is logged %d times", n)
	}
}

// TestKeySetKeepsUp: Run fetches without being asked, and again after a failure.
func TestKeySetKeepsUp(t *testing.T) {
	t.Parallel()
	key := newES256(t)
	s := newKeyServer(t)
	fetched := make(chan struct{}, 10)
	s.answers(func(w http.ResponseWriter, _ *http.Request) {
		if s.asked.Load() == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{published(t, key, "1")}})
		fetched <- struct{}{}
	})
	a := s.authority(t, s.config("ES256"), nil)
	run(t, a)
	<-fetched
	identify(t, a, es256(t, key, "1", nil))
	if n := s.asked.Load(); n != 2 {
		t.Errorf("%d requests, want the failed one and the next", n)
	}
}

// run runs the Authority until the test ends.
func run(t *testing.T, a *Authority) {
	t.Helper()
	done := make(chan error, 1)
	ctx := t.Context() // ends before cleanups run
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestUnknownKeyFlood: made-up key ids cost the key server next to nothing, and others neither their keys nor time.
func TestUnknownKeyFlood(t *testing.T) {
	t.Parallel()
	key, made := newES256(t), newES256(t)
	s := newKeyServer(t, published(t, key, "1"))
	a := s.authority(t, s.config("ES256"), nil)
	a.verifier.primary.ring.pause = time.Hour
	identify(t, a, es256(t, key, "1", nil))
	for i := range 500 {
		wantUnavailable(t, a, es256(t, made, fmt.Sprint("made up ", i), nil), "asked a moment ago")
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
	identify(t, a, es256(t, key, "1", nil))
}

// TestKeyServerHangs: tokens of known keys and of other issuers do not wait; of the others only so many do, and all of
// them are served by the one answer.
func TestKeyServerHangs(t *testing.T) {
	t.Parallel()
	key, next, partners := newES256(t), newES256(t), newES256(t)
	s, partner := newKeyServer(t, published(t, key, "1")), newKeyServer(t, published(t, partners, "1"))
	cfg := s.config("ES256")
	cfg.Issuers = []config.Issuer{{Name: "partner", Algorithms: []string{"ES256"}, JWKSURL: partner.URL}}
	a := s.authority(t, cfg, nil) // both servers have httptest's certificate
	identify(t, a, es256(t, key, "1", nil))

	hung, release := make(chan struct{}), make(chan struct{})
	s.answers(func(w http.ResponseWriter, _ *http.Request) {
		close(hung)
		<-release
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{published(t, key, "1"), published(t, next, "2")}})
	})
	ring := a.verifier.primary.ring
	var waiting sync.WaitGroup
	ask := func() {
		if id, err := a.Identify(t.Context(), es256(t, next, "2", nil)); err != nil || id.User != "42" {
			t.Errorf("got %+v, %v", id, err)
		}
	}
	waiting.Go(ask)
	<-hung
	identify(t, a, es256(t, key, "1", nil))
	identify(t, a, es256(t, partners, "1", jwt.MapClaims{"iss": "partner"}))
	for range 20 {
		waiting.Go(ask)
	}
	for ring.mu.Lock(); ring.waiting < 20; ring.mu.Lock() { // those above would be among the too many
		ring.mu.Unlock()
		runtime.Gosched()
	}
	ring.waiting += maxWaiting
	ring.mu.Unlock()
	wantUnavailable(t, a, es256(t, next, "2", nil), "too many tokens wait")
	ring.mu.Lock()
	ring.waiting -= maxWaiting
	ring.mu.Unlock()
	close(release)
	waiting.Wait()
	if n := s.asked.Load(); n != 2 {
		t.Errorf("%d requests, want one for all who waited", n)
	}
	if ring.waiting != 0 {
		t.Errorf("%d wait for ever", ring.waiting)
	}
}

func TestKeySetKeys(t *testing.T) {
	t.Parallel()
	ec := newES256(t)
	rsaKey, small := must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 1024))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	private := must(jwkset.NewJWKFromKey(ec, jwkset.JWKOptions{
		Marshal: jwkset.JWKMarshalOptions{Private: true}, Metadata: jwkset.JWKMetadataOptions{KID: "private"},
	})).Marshal()
	secret := jwkset.JWKMarshal{KTY: jwkset.KtyOct, KID: "secret", K: "YW4gZXhhbXBsZSBvZiB0aGlydHktdHdvIGJ5dGVzLCBvciBtb3Jl"}
	alg := func(a jwkset.ALG) func(*jwkset.JWKMarshal) { return func(m *jwkset.JWKMarshal) { m.ALG = a } }
	use := func(u jwkset.USE) func(*jwkset.JWKMarshal) { return func(m *jwkset.JWKMarshal) { m.USE = u } }
	ops := func(o ...jwkset.KEYOPS) func(*jwkset.JWKMarshal) { return func(m *jwkset.JWKMarshal) { m.KEYOPS = o } }
	s := newKeyServer(t,
		published(t, ec, "plain"), published(t, ec, "sig", use("sig"), alg("ES256"), ops("verify")),
		published(t, ec, "enc", use("enc")), published(t, ec, "odd", use("other")), published(t, ec, "signs", ops("sign")),
		published(t, ec, "es384", alg("ES384")), published(t, p384, "p384"), published(t, rsaKey, "rsa"),
		published(t, rsaKey, "ps", alg("PS256")), published(t, small, "small"), published(t, ed, "ed"),
		published(t, ec, "broken", func(m *jwkset.JWKMarshal) { m.X = m.Y }),
		published(t, ec, "curve", func(m *jwkset.JWKMarshal) { m.CRV = "secp256k1" }),
		private, secret, jwkset.JWKMarshal{KID: "nothing"},
	)
	core, logs := observer.New(zap.InfoLevel)
	a := s.authority(t, s.config("ES256", "RS256", "EdDSA"), zap.New(core))
	for name, test := range map[string]struct {
		method jwt.SigningMethod
		key    any
		id     any
		reason string
	}{
		"no use":             {jwt.SigningMethodES256, ec, "plain", ""},
		"fits in all":        {jwt.SigningMethodES256, ec, "sig", ""},
		"RSA":                {jwt.SigningMethodRS256, rsaKey, "rsa", ""},
		"Ed25519":            {jwt.SigningMethodEdDSA, ed, "ed", ""},
		"only EdDSA, no kid": {jwt.SigningMethodEdDSA, ed, nil, ""},
		"several, no kid":    {jwt.SigningMethodES256, ec, nil, "key id missing"},
		"several, empty kid": {jwt.SigningMethodES256, ec, "", "key id missing"},
		"kid a list":         {jwt.SigningMethodES256, ec, []string{"plain"}, "key id malformed"},
		"for encryption":     {jwt.SigningMethodES256, ec, "enc", "key unknown"},
		"for something":      {jwt.SigningMethodES256, ec, "odd", "key unknown"},
		"for signing":        {jwt.SigningMethodES256, ec, "signs", "key unknown"},
		"for another alg":    {jwt.SigningMethodES256, ec, "es384", "key unknown"},
		"for PS256":          {jwt.SigningMethodRS256, rsaKey, "ps", "key unknown"},
		"another curve":      {jwt.SigningMethodES384, p384, "p384", "algorithm not allowed"},
		"another type":       {jwt.SigningMethodES256, ec, "rsa", "key unknown"},
		"PS not configured":  {jwt.SigningMethodPS256, rsaKey, "ps", "algorithm not allowed"},
		"small":              {jwt.SigningMethodRS256, small, "small", "key unknown"},
		"broken":             {jwt.SigningMethodES256, ec, "broken", "key unknown"},
		"private":            {jwt.SigningMethodES256, ec, "private", "key unknown"},
		"symmetric":          {jwt.SigningMethodHS256, []byte(key), "secret", "algorithm not allowed"},
		"symmetric as ES256": {jwt.SigningMethodES256, ec, "secret", "key unknown"},
	} {
		token := jwt.NewWithClaims(test.method, claims(nil))
		if test.id != nil {
			token.Header["kid"] = test.id
		}
		text, err := token.SignedString(test.key)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			if test.reason != "" {
				wantRefusal(t, a, text, test.reason)
				return
			}
			identify(t, a, text)
		})
	}
	if n := a.Stats().KeySets[0].Keys.Load(); n != 4 {
		t.Errorf("%d keys in use, want 4", n)
	}
	line := logs.FilterMessage("keys fetched").All()
	if len(line) != 1 {
		t.Fatalf("told %d times of the same set", len(line))
	}
	told := fmt.Sprint(line[0].ContextMap()["not used"])
	for _, why := range []string{"symmetric", "private", "(use)", "(key_ops)", "2048", "malformed", "not supported", "for no algorithm"} {
		if !strings.Contains(told, why) {
			t.Errorf("not told of %s: %s", why, told)
		}
	}
}

func TestKeyServerMisbehaves(t *testing.T) {
	t.Parallel()
	key := newES256(t)
	good := must(json.Marshal(map[string]any{"keys": []any{published(t, key, "1")}}))
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good) }))
	t.Cleanup(plain.Close)
	write := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string // why it is unavailable; empty: the set is taken
	}{
		"as it should":   {write(good), ""},
		"redirect":       {redirectOnce("/elsewhere", good), ""},
		"to http":        {redirectOnce(plain.URL, good), "not https"},
		"in a circle":    {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }, "too often"},
		"not found":      {func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, "status 404"},
		"no content":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "status 204"},
		"HTML":           {write([]byte("<html>")), "no JSON Web Key Set"},
		"no keys":        {write([]byte("{}")), "no JSON Web Key Set"},
		"keys no list":   {write([]byte(`{"keys":{}}`)), "no JSON Web Key Set"},
		"more behind it": {write(append(append([]byte{}, good...), "{}"...)), "no JSON Web Key Set"},
		"too large":      {write([]byte(strings.Repeat(" ", maxKeySet) + string(good))), "more than 1048576 bytes"},
		"deep":           {write([]byte(`{"keys":` + strings.Repeat("[", 20000))), "no JSON Web Key Set"},
		"cut":            {cut, "read answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newKeyServer(t)
			s.answers(test.answer)
			a := s.authority(t, s.config("ES256"), nil)
			if test.want == "" {
				identify(t, a, es256(t, key, "1", nil))
				return
			}
			wantUnavailable(t, a, es256(t, key, "1", nil), test.want)
		})
	}
	t.Run("a certificate of nobody's", func(t *testing.T) {
		t.Parallel()
		s := newKeyServer(t, published(t, key, "1"))
		s.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
		a := newAuthority(t, s.config("ES256"), nil)
		wantUnavailable(t, a, es256(t, key, "1", nil), "certificate")
	})
}

// redirectOnce sends the first request elsewhere.
func redirectOnce(to string, body []byte) http.HandlerFunc {
	var sent atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) {
		if !sent.Swap(true) {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = w.Write(body)
	}
}

// cut ends the connection in the middle of the answer.
func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte(`{"keys":[`))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// An operator's token is auth.jwt's: who vouches for users of their own can't make one.
func TestOperatorOfFurtherIssuer(t *testing.T) {
	t.Parallel()
	cfg := basic()
	cfg.Issuers = []config.Issuer{{Name: "partner", Algorithms: []string{"HS256"}, Secret: key}}
	a := newAuthority(t, cfg, nil)
	if _, ok := a.Operator(hs256(t, jwt.MapClaims{OperatorClaim: true})); !ok {
		t.Error("an operator's token does not open the door")
	}
	for _, more := range []jwt.MapClaims{
		{OperatorClaim: true, "iss": "partner"}, {OperatorClaim: "true"}, {OperatorClaim: 1}, {},
	} {
		if _, ok := a.Operator(hs256(t, more)); ok {
			t.Errorf("%v opens the operator's door", more)
		}
	}
}
