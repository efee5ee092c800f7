package audience

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"

	"nalar.internal/rowfeed/config"
)

// The bounds of what a key server may send.
const (
	maxKeySet    = 1 << 20 // bytes
	maxRedirects = 3
)

// keySet is a fetched JSON Web Key Set (RFC 7517, section 5): what of it verifies tokens, by algorithm.
type keySet struct {
	keys    map[string][]jwkset.JWK
	skipped []string // why others are not used, once each, in a few words
}

// count is how many different keys there are.
func (s *keySet) count() int {
	seen := map[any]bool{}
	for _, keys := range s.keys {
		for _, k := range keys {
			m := k.Marshal()
			seen[m.KID+"\x00"+m.N+m.X+m.Y] = true
		}
	}
	return len(seen)
}

// newClient returns how keys are fetched: over TLS that is verified by the system's certificates (SSL_CERT_FILE and
// SSL_CERT_DIR name others), through the proxy that the environment names, and without a connection kept for an hour.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport}
}

// secured returns the client with redirects that lead away from https refused.
func secured(client *http.Client) *http.Client {
	c := *client
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Scheme != "https" {
			return errors.New("redirects to an address that is not https")
		}
		if len(via) > maxRedirects {
			return errors.New("redirects too often")
		}
		return nil
	}
	return &c
}

// fetchSet gets the set and keeps the keys that fit one of the algorithms.
func fetchSet(ctx context.Context, client *http.Client, address string, algorithms []string) (*keySet, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, errors.New("not an address")
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := client.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the address may hold what is nobody's business
		}
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answers with status %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read answer: %w", err)
	case len(body) > maxKeySet:
		return nil, fmt.Errorf("answers with more than %d bytes", maxKeySet)
	}
	return parseSet(body, algorithms)
}

// parseSet reads a set. A key that can't be used takes nothing from the others.
func parseSet(body []byte, algorithms []string) (*keySet, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil || set.Keys == nil {
		return nil, errors.New("answers with what is no JSON Web Key Set")
	}
	s := &keySet{keys: make(map[string][]jwkset.JWK, len(algorithms))}
	for _, raw := range *set.Keys {
		key, why := parseKey(raw)
		used := false
		for _, algorithm := range algorithms {
			if why == "" && fits(key, algorithm) {
				s.keys[algorithm] = append(s.keys[algorithm], key)
				used = true
			}
		}
		if why == "" && !used {
			why = "is for no algorithm that is configured"
		}
		if why != "" && !slices.Contains(s.skipped, why) {
			s.skipped = append(s.skipped, why)
		}
	}
	return s, nil
}

// parseKey reads a public key for signatures; why it can't be used is told in words that hold nothing of it.
func parseKey(raw []byte) (key jwkset.JWK, why string) {
	var m jwkset.JWKMarshal
	if json.Unmarshal(raw, &m) != nil {
		return key, "is no JSON Web Key"
	}
	switch {
	case m.KTY == jwkset.KtyOct:
		return key, "is symmetric, which a published key can't be: whoever reads it could sign"
	case m.D != "":
		return key, "is a private key, published: it signs for whoever reads it, so have the issuer replace it"
	case m.USE != "" && m.USE != jwkset.UseSig:
		return key, "is not for signatures (use)"
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return key, "is not for verifying (key_ops)"
	}
	key, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if errors.Is(err, jwkset.ErrUnsupportedKey) {
		return key, "is of a kind that is not supported"
	}
	if err != nil {
		return key, "is malformed"
	}
	if k, ok := key.Key().(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
		return key, "is an RSA key of less than 2048 bits (RFC 7518, section 3.3)"
	}
	return key, ""
}

// fits says whether the key may verify signatures by the algorithm: its type and curve, and what it says of itself
// (RFC 7517, section 4.4).
func fits(key jwkset.JWK, algorithm string) bool {
	named := key.Marshal().ALG.String()
	return (named == "" || named == algorithm) && slices.Contains(config.Algorithms(key.Key()), algorithm)
}

// explain makes one line of why keys are not used.
func (s *keySet) explain() string { return strings.Join(s.skipped, "; ") }
