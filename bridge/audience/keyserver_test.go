package audience

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/config"
)

// keyServer publishes a key set over HTTPS.
type keyServer struct {
	*httptest.Server
	asked  atomic.Int32
	mu     sync.Mutex
	answer http.HandlerFunc
}

func newKeyServer(t testing.TB, keys ...jwkset.JWKMarshal) *keyServer {
	t.Helper()
	s := &keyServer{}
	s.publish(keys...)
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) answers(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = h
}

func (s *keyServer) publish(keys ...jwkset.JWKMarshal) {
	s.answers(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": append([]jwkset.JWKMarshal{}, keys...)})
	})
}

// config is a configuration whose auth.jwt has its keys from the server.
func (s *keyServer) config(algorithms ...string) config.Auth {
	cfg := basic()
	cfg.JWT.Secret, cfg.JWT.JWKSURL, cfg.JWT.Algorithms = "", s.URL+"/keys", algorithms
	return cfg
}

// authority has no pause after a fetch, unless a test sets one.
func (s *keyServer) authority(t testing.TB, cfg config.Auth, log *zap.Logger) *Authority {
	t.Helper()
	a, err := New(cfg, nil, log, WithHTTPClient(s.Client()))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range a.verifier.rings() {
		r.pause = 0
	}
	return a
}

// published is the public half of a key as a set has it.
func published(t testing.TB, key crypto.Signer, id string, change ...func(*jwkset.JWKMarshal)) jwkset.JWKMarshal {
	t.Helper()
	k, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id}})
	if err != nil {
		t.Fatal(err)
	}
	m := k.Marshal()
	for _, f := range change {
		f(&m)
	}
	return m
}

func newES256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

// es256 signs claims that are valid but for what is given, naming the key.
func es256(t testing.TB, key *ecdsa.PrivateKey, id string, more jwt.MapClaims) string {
	t.Helper()
	return sign(t, jwt.SigningMethodES256, key, claims(more), "kid", id)
}

// wantUnavailable fails unless it can't be found out whose the token is.
func wantUnavailable(t testing.TB, a *Authority, token, why string) {
	t.Helper()
	id, err := a.Identify(t.Context(), token)
	if id != nil || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), why) {
		t.Fatalf("got %+v, %v; want unavailable: %s", id, err, why)
	}
}
