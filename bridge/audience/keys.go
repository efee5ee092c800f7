package audience

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/config"
)

// minSecret is in bytes: RFC 7518, section 3.2, for HS256; the configuration asks for more for the others.
const minSecret = 32

// issuer is a party whose tokens are accepted, and what is made of them.
type issuer struct {
	name      string         // what its iss claim must say; empty: anything
	own       bool           // auth.jwt: its tokens may be an operator's
	keys      map[string]any // algorithm to the key that it verifies with: what is not in here is not accepted
	ring      *ring          // instead of keys, where the issuer publishes them
	validator *jwt.Validator
	must      []requirement

	user   *template
	tenant *template // nil: from the user query, or none
	grants []*template
}

// requirement is a claim that must have a value.
type requirement struct{ path, value string }

// newIssuer loads the key and binds it to the algorithms, and reads the templates.
func newIssuer(p config.Party, client *http.Client, log *zap.Logger) (*issuer, error) {
	cfg := p.JWT
	i := &issuer{name: cfg.Issuer, own: p.Key == "auth.jwt"}
	if err := i.bind(p.Key, cfg, client, log); err != nil {
		return nil, err
	}
	options := []jwt.ParserOption{jwt.WithLeeway(cfg.Leeway), jwt.WithExpirationRequired(), jwt.WithIssuedAt()}
	if cfg.Audience != "" {
		options = append(options, jwt.WithAudience(cfg.Audience))
	}
	i.validator = jwt.NewValidator(options...)
	for path, value := range cfg.Claims {
		i.must = append(i.must, requirement{path, value})
	}
	slices.SortFunc(i.must, func(a, b requirement) int { return strings.Compare(a.path, b.path) })
	return i, i.read(p)
}

// bind makes of the configured key what verifies, for each algorithm that is accepted.
func (i *issuer) bind(at string, cfg config.JWT, client *http.Client, log *zap.Logger) error {
	key, fit, err := loadKey(at, cfg)
	if err != nil {
		return err
	}
	if len(cfg.Algorithms) == 0 {
		return fmt.Errorf("%s.algorithms: none: name what the tokens are signed with, such as HS256", at)
	}
	for _, algorithm := range cfg.Algorithms {
		if !slices.Contains(fit, algorithm) {
			return fmt.Errorf("%s.algorithms: %q does not go with the key that is configured: write %s",
				at, algorithm, strings.Join(fit, ", "))
		}
	}
	if cfg.JWKSURL != "" {
		i.ring, err = newRing(at, cfg, client, log)
		return err
	}
	i.keys = make(map[string]any, len(cfg.Algorithms))
	for _, algorithm := range cfg.Algorithms {
		i.keys[algorithm] = key
	}
	return nil
}

// read parses the templates.
func (i *issuer) read(p config.Party) error {
	var err error
	if i.user, err = parseTemplate(p.User); err != nil {
		return fmt.Errorf("%s: %w", p.UserKey, err)
	}
	i.user.key = p.UserKey
	if !i.user.readsClaims() {
		return fmt.Errorf("%s: names no claim, so that everybody would be the same user: write {user_id}", p.UserKey)
	}
	if p.Tenant != "" {
		if i.tenant, err = parseTemplate(p.Tenant); err != nil {
			return fmt.Errorf("%s: %w", p.TenantKey, err)
		}
		i.tenant.key = p.TenantKey
	}
	for n, source := range p.Grants {
		t, err := parseTemplate(source)
		if err != nil {
			return fmt.Errorf("%s[%d]: %w", p.GrantsKey, n, err)
		}
		t.key = fmt.Sprintf("%s[%d]", p.GrantsKey, n)
		i.grants = append(i.grants, t)
	}
	return nil
}

// key returns what has to verify the token. It may have to ask for it, at most for as long as ctx or fetchTimeout.
func (i *issuer) key(ctx context.Context, t *jwt.Token) (any, error) {
	if i.ring != nil {
		return i.ring.key(ctx, t)
	}
	if key, ok := i.keys[t.Method.Alg()]; ok {
		return key, nil
	}
	return nil, errAlgorithm
}

var errAlgorithm = errors.New("algorithm not configured")

// publicAlgorithms are those of public keys: RFC 7518, section 3.1, and RFC 8037.
var publicAlgorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// loadKey returns a secret ([]byte), a public key, or nothing where keys are fetched, and the algorithms that may be
// verified with it. Of a certificate only the key counts: neither its dates nor its chain are checked.
func loadKey(at string, cfg config.JWT) (key any, algorithms []string, err error) {
	set := 0
	for _, s := range []string{cfg.Secret, cfg.SecretFile, cfg.PublicKeyFile, cfg.JWKSURL} {
		if s != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return nil, nil, fmt.Errorf("%s: %d keys: set exactly one of secret, secret_file, public_key_file and jwks_url", at, set)
	case cfg.JWKSURL != "":
		return nil, publicAlgorithms, nil
	case cfg.PublicKeyFile != "":
		public, err := cfg.PublicKey()
		if err != nil {
			return nil, nil, fmt.Errorf("%s.public_key_file: %w", at, err)
		}
		return public, config.Algorithms(public), nil
	}
	secret, err := cfg.SecretBytes()
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%s.secret_file: %w", at, err)
	case bytes.Contains(secret, []byte("-----BEGIN ")): // public, most likely: then anybody could sign
		return nil, nil, fmt.Errorf("%s: a PEM block for a secret: name its file under public_key_file", at)
	case len(secret) < minSecret:
		return nil, nil, fmt.Errorf("%s: a secret of %d bytes is too short: use at least %d random ones",
			at, len(secret), minSecret)
	}
	return secret, []string{"HS256", "HS384", "HS512"}, nil
}
