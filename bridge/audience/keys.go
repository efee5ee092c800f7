package audience

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"nalar.internal/rowfeed/config"
)

// minSecret is in bytes: RFC 7518, section 3.2, for HS256; the configuration asks for more for the others.
const minSecret = 32

// issuer is a party whose tokens are accepted.
type issuer struct {
	name      string         // what its iss claim must say; empty: anything
	keys      map[string]any // algorithm to the key that it verifies with: what is not in here is not accepted
	validator *jwt.Validator
}

// newIssuer loads the key and binds it to the algorithms; at is the configuration key for messages.
func newIssuer(at string, cfg config.JWT) (*issuer, error) {
	key, fit, err := loadKey(at, cfg)
	if err != nil {
		return nil, err
	}
	if len(cfg.Algorithms) == 0 {
		return nil, fmt.Errorf("%s.algorithms: none: name what the tokens are signed with, such as HS256", at)
	}
	keys := make(map[string]any, len(cfg.Algorithms))
	for _, algorithm := range cfg.Algorithms {
		if !slices.Contains(fit, algorithm) {
			return nil, fmt.Errorf("%s.algorithms: %q does not go with the key that is configured: write %s",
				at, algorithm, strings.Join(fit, ", "))
		}
		keys[algorithm] = key
	}
	options := []jwt.ParserOption{jwt.WithLeeway(cfg.Leeway), jwt.WithExpirationRequired(), jwt.WithIssuedAt()}
	if cfg.Audience != "" {
		options = append(options, jwt.WithAudience(cfg.Audience))
	}
	return &issuer{name: cfg.Issuer, keys: keys, validator: jwt.NewValidator(options...)}, nil
}

// loadKey returns a secret ([]byte) or a public key, and the algorithms that may be verified with it. Of a certificate
// only the key counts: neither its dates nor its chain are checked.
func loadKey(at string, cfg config.JWT) (key any, algorithms []string, err error) {
	set := 0
	for _, s := range []string{cfg.Secret, cfg.SecretFile, cfg.PublicKeyFile, cfg.JWKSURL} {
		if s != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return nil, nil, fmt.Errorf("%s: %d keys: set exactly one of secret, secret_file and public_key_file", at, set)
	case cfg.JWKSURL != "":
		return nil, nil, fmt.Errorf("%s.jwks_url: keys by URL are not supported: use public_key_file", at)
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
