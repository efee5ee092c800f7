package audience

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"nalar.internal/rowfeed/config"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// file writes PEM (or anything) and returns its path.
func file(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func public(key crypto.Signer) []byte {
	return block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key.Public())))
}

func certificate(key crypto.Signer) []byte {
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotAfter: time.Now()}
	return block("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)))
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	p521 := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method jwt.SigningMethod
		key    any
		pem    []byte
	}{
		{jwt.SigningMethodHS256, []byte(key), nil},
		{jwt.SigningMethodHS384, []byte(key), nil},
		{jwt.SigningMethodHS512, []byte(key), nil},
		{jwt.SigningMethodRS256, rsaKey, public(rsaKey)},
		{jwt.SigningMethodRS384, rsaKey, block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey))},
		{jwt.SigningMethodRS512, rsaKey, certificate(rsaKey)},
		{jwt.SigningMethodPS256, rsaKey, public(rsaKey)},
		{jwt.SigningMethodPS384, rsaKey, public(rsaKey)},
		{jwt.SigningMethodPS512, rsaKey, public(rsaKey)},
		{jwt.SigningMethodES256, p256, public(p256)},
		{jwt.SigningMethodES384, p384, public(p384)},
		{jwt.SigningMethodES512, p521, certificate(p521)},
		{jwt.SigningMethodEdDSA, ed, public(ed)},
	} {
		t.Run(test.method.Alg(), func(t *testing.T) {
			t.Parallel()
			cfg := basic()
			cfg.JWT.Algorithms = []string{test.method.Alg()}
			if test.pem != nil {
				cfg.JWT.Secret, cfg.JWT.PublicKeyFile = "", file(t, test.pem)
			}
			a := newAuthority(t, cfg, nil)
			token := sign(t, test.method, test.key, claims(nil))
			if id := identify(t, a, token); id.User != "42" {
				t.Errorf("got %+v", id)
			}
			other := sign(t, test.method, test.key, claims(jwt.MapClaims{"user_id": 43}))
			wantRefusal(t, a, transplant(token, other), "signature invalid")
			if test.pem == nil {
				return
			}
			// The attack that gave JWT its name: what is public taken for a shared secret.
			wantRefusal(t, a, sign(t, jwt.SigningMethodHS256, test.pem, claims(nil)), "algorithm not allowed")
			cfg.JWT.Algorithms = append(cfg.JWT.Algorithms, "HS256")
			if _, err := New(cfg, nil, nil); err == nil || !strings.Contains(err.Error(), "does not go with") {
				t.Errorf("HS256 beside a public key: %v", err)
			}
		})
	}
}

func TestSecretFile(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "\n", "\r\n"} {
		cfg := basic()
		cfg.JWT.Secret, cfg.JWT.SecretFile = "", file(t, []byte(key+end))
		identify(t, newAuthority(t, cfg, nil), hs256(t, nil))
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	pub := file(t, public(p384))
	private := file(t, block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p384))))
	publicKey := func(path string) func(*config.Auth) {
		return func(c *config.Auth) { c.JWT.Secret, c.JWT.PublicKeyFile = "", path }
	}
	for name, test := range map[string]struct {
		change func(*config.Auth)
		want   string
	}{
		"no key":   {func(c *config.Auth) { c.JWT.Secret = "" }, "auth.jwt: 0 keys: set exactly one"},
		"two keys": {func(c *config.Auth) { c.JWT.PublicKeyFile = pub }, "auth.jwt: 2 keys"},
		"short":    {func(c *config.Auth) { c.JWT.Secret = key[:31] }, "auth.jwt: a secret of 31 bytes is too short"},
		"PEM as secret": {func(c *config.Auth) {
			c.JWT.Secret, c.JWT.SecretFile = "", pub
		}, "auth.jwt: a PEM block for a secret"},
		"no such file":    {func(c *config.Auth) { c.JWT.Secret, c.JWT.SecretFile = "", pub+"x" }, "auth.jwt.secret_file: "},
		"no such PEM":     {publicKey(pub + "x"), "auth.jwt.public_key_file: "},
		"private key":     {publicKey(private), "not a public key"},
		"no PEM":          {publicKey(file(t, []byte(key))), "auth.jwt.public_key_file: is not PEM"},
		"bad PEM":         {publicKey(file(t, block("PUBLIC KEY", nil))), "auth.jwt.public_key_file: "},
		"bad certificate": {publicKey(file(t, block("CERTIFICATE", nil))), "auth.jwt.public_key_file: "},
		"small RSA": {func(c *config.Auth) {
			c.JWT = config.JWT{Algorithms: []string{"RS256"}, PublicKeyFile: file(t, public(small))}
		}, "2048 are the least"},
		"curve": {func(c *config.Auth) {
			c.JWT = config.JWT{Algorithms: []string{"ES384", "ES256"}, PublicKeyFile: pub}
		}, `"ES256" does not go with the key that is configured: write ES384`},
		"secret for RS":    {func(c *config.Auth) { c.JWT.Algorithms = []string{"RS256"} }, `"RS256" does not go with`},
		"secret for EdDSA": {func(c *config.Auth) { c.JWT.Algorithms = []string{"EdDSA"} }, `"EdDSA" does not go with`},
		"none":             {func(c *config.Auth) { c.JWT.Algorithms = []string{"none"} }, `"none" does not go with`},
		"no algorithms":    {func(c *config.Auth) { c.JWT.Algorithms = nil }, "auth.jwt.algorithms: none"},
		"HS by URL":        {func(c *config.Auth) { c.JWT.Secret, c.JWT.JWKSURL = "", "https://x" }, `"HS256" does not go with`},
		"issuer's key":     {func(c *config.Auth) { c.Issuers = []config.Issuer{{Name: "a"}} }, "auth.issuers[0]: 0 keys"},
		"issuer's name": {func(c *config.Auth) {
			c.Issuers = []config.Issuer{{Algorithms: []string{"HS256"}, Secret: key}}
		}, "auth.issuers[0].name: empty"},
		"issuer twice": {func(c *config.Auth) {
			c.JWT.Issuer, c.Issuers = "a", []config.Issuer{{Name: "a", Algorithms: []string{"HS256"}, Secret: key}}
		}, "two issuers of this name"},
		"no user":       {func(c *config.Auth) { c.User = "" }, "auth.user: empty"},
		"constant user": {func(c *config.Auth) { c.User = "admin" }, "auth.user: names no claim"},
		"tenant":        {func(c *config.Auth) { c.Tenant = "{" }, "auth.tenant: a { without its }"},
		"issuer's user": {func(c *config.Auth) {
			c.Issuers = []config.Issuer{{Name: "a", Algorithms: []string{"HS256"}, Secret: key, User: "x"}}
		}, "auth.issuers[0].user: names no claim"},
		"grant":       {func(c *config.Auth) { c.Grants = []string{"a", "b}"} }, "auth.grants[1]: a } without its {"},
		"no database": {func(c *config.Auth) { c.UserQuery = "select $1" }, "need a database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := basic()
			test.change(&cfg)
			_, err := New(cfg, nil, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %s", err, test.want)
			}
			if strings.Contains(err.Error(), key[:20]) {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
}
