package bridge_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"nalar.internal/rowfeed/test/rig"
)

// TestPublishedKeys: a bridge whose key server is not there yet says so, becomes ready when it is, and lets a key's
// users in from the moment when it is published. Not parallel, and on Linux only: SSL_CERT_FILE is read once a process.
func TestPublishedKeys(t *testing.T) {
	keys := []*ecdsa.PrivateKey{newKey(t), newKey(t)}
	var published atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := published.Load()
		if n == 0 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		set := []jwkset.JWKMarshal{}
		for i, key := range keys[:n] {
			k, err := jwkset.NewJWKFromKey(&key.PublicKey, jwkset.JWKOptions{
				Metadata: jwkset.JWKMetadataOptions{KID: string(rune('a' + i)), USE: jwkset.UseSig, ALG: jwkset.AlgES256},
			})
			if err != nil {
				t.Error(err)
			}
			set = append(set, k.Marshal())
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
	}))
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", ca)

	r := rig.New(t, ordersTable, strings.Replace(ordersChannels, `"{company}"`, "any", 1),
		"ROWFEED_AUTH_JWT_SECRET=", "ROWFEED_AUTH_JWT_JWKS_URL="+server.URL, "ROWFEED_AUTH_JWT_ALGORITHMS=ES256")
	token := func(n int) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"user_id": 42, "exp": time.Now().Add(time.Hour).Unix()})
		token.Header["kid"] = string(rune('a' + n))
		text, err := token.SignedString(keys[n])
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if said := readiness(t, r); !strings.Contains(said, "auth.jwt.jwks_url: the keys have not been fetched yet") {
		t.Errorf("without keys /readyz says %q", said)
	}
	if ce := r.Plain(t, "/ws/orders", token(0)).Closed(); ce.Code != 1013 {
		t.Errorf("without keys a token is answered with %v, want 1013: try again", ce)
	}
	published.Store(1)
	awaitReadiness(t, r, rig.Limit, func(said string) bool { return said == "" })
	first := r.Full(t, token(0))
	published.Store(2)
	for deadline := time.Now().Add(30 * time.Second); ; { // ten seconds after the last fetch at the latest
		ce := r.Dial(t, "/ws", http.Header{"Authorization": {"Bearer " + token(1)}}, "rowfeed.v1")
		_, _, err := ce.Read(t.Context())
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the new key is not taken: %v", err)
		}
		<-time.After(100 * time.Millisecond)
	}
	if f := first.Ask(`{"type":"auth","token":"%s"}`, token(1)); f["type"] != "welcome" {
		t.Errorf("renewal with the new key: %v", f)
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
