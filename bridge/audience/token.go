package audience

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/config"
)

const (
	maxToken   = 8 << 10         // bytes
	maxDepth   = 16              // of nested objects and lists in the claims
	latestDate = 253_402_300_799 // the end of the year 9999 in Unix seconds; time.Time overflows far behind it
)

// verifier turns a token into claims that can be believed.
type verifier struct {
	parser  *jwt.Parser
	primary *issuer            // auth.jwt
	further map[string]*issuer // auth.issuers, by the iss claim
}

func newVerifier(cfg config.Auth, client *http.Client, log *zap.Logger) (*verifier, error) {
	v := &verifier{
		// The keys say which algorithms are valid, and claims are validated for the issuer found.
		parser:  jwt.NewParser(jwt.WithJSONNumber(), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
		further: make(map[string]*issuer, len(cfg.Issuers)),
	}
	for _, p := range cfg.Parties() {
		i, err := newIssuer(p, client, log)
		switch {
		case err != nil:
			return nil, err
		case i.own:
			v.primary = i
		case i.name == "":
			return nil, fmt.Errorf("%s.name: empty: set what the iss claim of its tokens says", p.Key)
		case i.name == v.primary.name || v.further[i.name] != nil:
			return nil, fmt.Errorf("%s.name: there are two issuers of this name: remove one", p.Key)
		default:
			v.further[i.name] = i
		}
	}
	return v, nil
}

// rings are the key sets that have to be fetched.
func (v *verifier) rings() []*ring {
	var all []*ring
	if v.primary.ring != nil {
		all = append(all, v.primary.ring)
	}
	for _, name := range slices.Sorted(maps.Keys(v.further)) {
		if r := v.further[name].ring; r != nil {
			all = append(all, r)
		}
	}
	return all
}

// verify returns the claims of a token that is signed, valid now, and what the configuration wants, and its issuer.
func (v *verifier) verify(ctx context.Context, token string) (jwt.MapClaims, *issuer, error) {
	if err := plausible(token); err != nil {
		return nil, nil, err
	}
	claims, from, parsed, err := v.parse(ctx, token)
	if errors.Is(err, jwt.ErrTokenSignatureInvalid) && from.ring != nil && from.ring.guesses(parsed) {
		// The only key that could be meant may be another one by now.
		if _, stuck := from.ring.ask(ctx); stuck != nil {
			return nil, nil, stuck
		}
		claims, from, parsed, err = v.parse(ctx, token)
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return nil, nil, refusal
	}
	if missing, ok := errors.AsType[*keysError](err); ok {
		return nil, nil, missing
	}
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, nil, refuse("token malformed")
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return nil, nil, refuse("algorithm not allowed")
	case err != nil:
		return nil, nil, refuse("signature invalid")
	}
	if !whole(token) {
		return nil, nil, refuse("token malformed")
	}
	if err := checkHeader(parsed.Header); err != nil {
		return nil, nil, err
	}
	if err := v.checkClaims(claims, from); err != nil {
		return nil, nil, err
	}
	return claims, from, nil
}

// parse checks the signature by the key of the issuer that the claims name; its error is the key's or the parser's.
func (v *verifier) parse(ctx context.Context, token string) (claims jwt.MapClaims, from *issuer, parsed *jwt.Token, err error) {
	claims = jwt.MapClaims{}
	parsed, err = v.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if from = v.issuerOf(claims); from == nil {
			return nil, refuse("issuer not accepted")
		}
		return from.key(ctx, t)
	})
	return claims, from, parsed, err
}

// plausible keeps what can't be a token from the parser. Base64 decoding would skip line breaks, so that one signature
// had many spellings.
func plausible(token string) error {
	if token == "" {
		return refuse("token missing")
	}
	if len(token) > maxToken {
		return refuse("token too large")
	}
	for i := range len(token) {
		if !tokenByte(token[i]) {
			return refuse("token malformed")
		}
	}
	return nil
}

// whole says that the claims are one JSON object with nothing behind it: the parser, asked for numbers with all their
// digits, reads the first and is content.
func whole(token string) bool {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(payload)
	return err == nil && json.Valid(b)
}

func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}

// issuerOf chooses whose key has to verify the claims, which are not verified yet; nil where it is nobody's. What is
// chosen by the claim is judged by that issuer's key and conditions alone.
func (v *verifier) issuerOf(claims jwt.MapClaims) *issuer {
	name, ok := claims["iss"].(string)
	if i := v.further[name]; ok && i != nil {
		return i
	}
	if v.primary.name == "" || ok && name == v.primary.name {
		return v.primary
	}
	return nil
}

// checkHeader refuses other kinds of JWT, signed with the same key for another purpose (RFC 8725, section 3.11), and
// extensions that must be understood (RFC 7515, section 4.1.11).
func checkHeader(header map[string]any) error {
	if _, ok := header["crit"]; ok {
		return refuse("critical header not supported")
	}
	typ, ok := header["typ"]
	if !ok {
		return nil
	}
	s, _ := typ.(string)
	switch strings.TrimPrefix(strings.ToLower(s), "application/") {
	case "jwt", "at+jwt": // RFC 7519, section 5.1; RFC 9068, section 2.1
		return nil
	}
	return refuse("token type not accepted")
}

// checkClaims judges verified claims.
func (v *verifier) checkClaims(claims jwt.MapClaims, from *issuer) error {
	if tooDeep(map[string]any(claims), maxDepth) {
		return refuse("claims nested too deeply")
	}
	if err := checkDates(claims); err != nil {
		return err
	}
	err := from.validator.Validate(claims)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return refuse("token expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refuse("token not yet valid")
	case err != nil: // the dates are well-formed and the issuer is checked: only the audience is left
		return refuse("audience not accepted")
	}
	for _, m := range from.must {
		found, ok := lookup(claims, m.path)
		if s, err := scalar(found); !ok || err != nil || s != m.value {
			return refuse("claim " + m.path + " not accepted")
		}
	}
	return nil
}

// checkDates makes sure that the dates are numbers that a time.Time can hold.
func checkDates(claims jwt.MapClaims) error {
	for _, name := range []string{"exp", "nbf", "iat"} {
		v := claims[name]
		if v == nil {
			if name == "exp" {
				return refuse("no exp")
			}
			delete(claims, name) // null
			continue
		}
		n, _ := v.(json.Number)
		if f, err := n.Float64(); err != nil || f < 0 || f > latestDate {
			return refuse(name + " not a date")
		}
	}
	return nil
}

func tooDeep(v any, left int) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			if left == 0 || tooDeep(item, left-1) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if left == 0 || tooDeep(item, left-1) {
				return true
			}
		}
	}
	return false
}
