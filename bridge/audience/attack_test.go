package audience

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"nalar.internal/rowfeed/config"
)

// compact makes a token of a header and claims in their very bytes.
func compact(t testing.TB, method jwt.SigningMethod, key any, header, payload string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	signature, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// unsignedPart is a token without its signature, but with the dot before it.
func unsignedPart(token string) string { return token[:strings.LastIndexByte(token, '.')+1] }

// resigned puts an ES256 signature of (r, s) under a token.
func resigned(token string, r, s *big.Int) string {
	return unsignedPart(token) + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// halves are r and s of a token's ES256 signature.
func halves(t testing.TB, token string) (r, s *big.Int) {
	t.Helper()
	b := must(base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:]))
	return new(big.Int).SetBytes(b[:32]), new(big.Int).SetBytes(b[32:])
}

// TestTokenAttacks is the table of what is tried with tokens, and what becomes of it. Where the outcome is a user the
// token is what its issuer signed, and nobody else's.
func TestTokenAttacks(t *testing.T) {
	t.Parallel()
	ec, stranger := newES256(t), newES256(t)
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	rsaPEM := public(rsaKey)
	partner := "another secret of the partner's, long enough"

	// The attacker's own key server: nothing may ever ask it.
	var lured atomic.Int32
	lure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		lured.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{published(t, stranger, "1")}})
	}))
	t.Cleanup(lure.Close)

	server := newKeyServer(t, published(t, ec, "1"))
	cfg := server.config("ES256")
	cfg.JWT.Issuer, cfg.JWT.Audience = "nalar", "live"
	cfg.JWT.Claims = map[string]string{"token_type": "access"}
	cfg.Grants = []string{"user:{user_id}", "role:{roles}"}
	cfg.Issuers = []config.Issuer{
		{Name: "partner", Algorithms: []string{"HS256"}, Secret: partner},
		{Name: "depot", Algorithms: []string{"RS256"}, PublicKeyFile: file(t, rsaPEM), User: "{sub}"},
	}
	a := server.authority(t, cfg, nil)
	a.verifier.primary.ring.pause = time.Hour // one request is all that the attacks below may cause
	good := jwt.MapClaims{"iss": "nalar", "aud": "live", "token_type": "access"}
	ours := func(name string, v any, header ...string) string {
		c := claims(good)
		if name != "" {
			c[name] = v
		}
		return sign(t, jwt.SigningMethodES256, ec, c, append([]string{"kid", "1"}, header...)...)
	}
	hs256 := func(secret []byte, payload string) string {
		return compact(t, jwt.SigningMethodHS256, secret, `{"alg":"HS256","kid":"1"}`, payload)
	}
	raw := func(header, payload string) string { return compact(t, jwt.SigningMethodES256, ec, header, payload) }
	strangers := func(header map[string]any) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, claims(good))
		token.Header["kid"] = "1"
		for name, v := range header {
			token.Header[name] = v
		}
		return must(token.SignedString(stranger))
	}
	const head = `{"alg":"ES256","kid":"1"}`
	body := func(format string) string { return fmt.Sprintf(format, time.Now().Add(time.Hour).Unix()) }
	none := jwt.SigningMethodNone
	depots, partners := body(`{"iss":"depot","sub":"42","exp":%d}`), body(`{"iss":"partner","user_id":42,"exp":%d}`)
	der := must(ecdsa.SignASN1(rand.Reader, ec, make([]byte, 32)))
	fine := body(`{"iss":"nalar","aud":"live","token_type":"access","user_id":42,"exp":%d}`)
	insert := func(claims string) string { return strings.Replace(fine, `"exp"`, claims+`,"exp"`, 1) }
	token := ours("", nil)
	r, s := halves(t, token)
	n := elliptic.P256().Params().N
	now := time.Now()
	identify(t, a, token) // fetches the keys

	for _, attack := range []struct{ name, token, outcome string }{
		{"nothing: an honest token", token, "42"},

		{"alg none", unsignedPart(compact(t, none, jwt.UnsafeAllowNoneSignatureType, `{"alg":"none"}`, fine)), "algorithm not allowed"},
		{"alg nOnE", raw(`{"alg":"nOnE"}`, fine), "algorithm not allowed"},
		{"alg empty", raw(`{"alg":""}`, fine), "algorithm not allowed"},
		{"alg null", raw(`{"alg":null}`, fine), "algorithm not allowed"},
		{"alg a number", raw(`{"alg":256}`, fine), "algorithm not allowed"},
		{"alg es256", raw(`{"alg":"es256","kid":"1"}`, fine), "algorithm not allowed"},
		{"alg twice, the last is none", raw(`{"alg":"ES256","kid":"1","alg":"none"}`, fine), "algorithm not allowed"},
		{"alg none, signature kept", raw(`{"alg":"none","kid":"1"}`, fine), "algorithm not allowed"},

		{"HS256 by the published key's PEM", hs256(public(ec), fine), "algorithm not allowed"},
		{"HS256 by RS256's PEM", hs256(rsaPEM, depots), "algorithm not allowed"},
		{"RS256 key as PS256", compact(t, jwt.SigningMethodPS256, rsaKey, `{"alg":"PS256"}`, depots), "algorithm not allowed"},

		{"another issuer's key, our name", hs256([]byte(partner), fine), "algorithm not allowed"},
		{"our key, another issuer's name", raw(head, partners), "algorithm not allowed"},
		{"another issuer's key and name", hs256([]byte(partner), partners), "42 of partner"},
		{"an issuer that is not configured", raw(head, body(`{"iss":"nobody","user_id":42,"exp":%d}`)), "issuer not accepted"},
		{"no issuer", raw(head, body(`{"aud":"live","token_type":"access","user_id":42,"exp":%d}`)), "issuer not accepted"},
		{"issuer a list", raw(head, body(`{"iss":["nalar"],"user_id":42,"exp":%d}`)), "issuer not accepted"},
		{"issuer with a space", raw(head, body(`{"iss":"nalar ","user_id":42,"exp":%d}`)), "issuer not accepted"},
		{"issuer twice, the last is the partner", raw(head, insert(`"iss":"partner"`)), "algorithm not allowed"},

		{"expired", ours("exp", now.Add(-time.Minute).Unix()), "token expired"},
		{"expiry missing", ours("exp", nil), "no exp"},
		{"expiry a text", ours("exp", "9999999999"), "exp not a date"},
		{"expiry beyond all time", raw(head, `{"iss":"nalar","aud":"live","user_id":42,"exp":1e30}`), "exp not a date"},
		{"expiry twice, the last is past", raw(head, strings.TrimSuffix(fine, "}")+`,"exp":1}`), "token expired"},
		{"not yet valid", ours("nbf", now.Add(time.Minute).Unix()), "token not yet valid"},
		{"issued in the future", ours("iat", now.Add(time.Minute).Unix()), "token not yet valid"},
		{"for another audience", ours("aud", "payroll"), "audience not accepted"},
		{"for no audience", ours("aud", nil), "audience not accepted"},
		{"a refresh token", ours("token_type", "refresh"), "claim token_type not accepted"},
		{"token_type twice, the last is refresh", raw(head, insert(`"token_type":"refresh"`)), "claim token_type not accepted"},
		{"token_type in other case", raw(head, insert(`"token_type":"refresh","Token_Type":"access"`)), "claim token_type not accepted"},
		{"a logout token", ours("", nil, "typ", "logout+jwt"), "token type not accepted"},
		{"typ an object", raw(`{"alg":"ES256","kid":"1","typ":{}}`, fine), "token type not accepted"},
		{"crit", raw(`{"alg":"ES256","kid":"1","crit":["exp"]}`, fine), "critical header not supported"},
		{"crit b64: the payload in plain", raw(`{"alg":"ES256","kid":"1","crit":["b64"],"b64":false}`, fine), "critical header not supported"},

		{"kid a path", strangers(map[string]any{"kid": "../../../../dev/null"}), "unavailable"},
		{"kid a URL", strangers(map[string]any{"kid": lure.URL}), "unavailable"},
		{"kid SQL", strangers(map[string]any{"kid": "1' union select 'AA'; --"}), "unavailable"},
		{"kid with a line break", strangers(map[string]any{"kid": "1\n2"}), "unavailable"},
		{"kid a list", strangers(map[string]any{"kid": []string{"1"}}), "key id malformed"},
		{"kid of our key", strangers(nil), "signature invalid"},
		{"no kid", raw(`{"alg":"ES256"}`, fine), "42"},
		{"no kid, a stranger's key", compact(t, jwt.SigningMethodES256, stranger, `{"alg":"ES256"}`, fine), "signature invalid"},
		{"jku", strangers(map[string]any{"jku": lure.URL}), "signature invalid"},
		{"x5u", strangers(map[string]any{"x5u": lure.URL}), "signature invalid"},
		{"jwk", strangers(map[string]any{"jwk": published(t, stranger, "1")}), "signature invalid"},
		{"x5c", strangers(map[string]any{"x5c": []string{base64.StdEncoding.EncodeToString(certificate(stranger))}}), "signature invalid"},

		{"user twice, the last counts", raw(head, strings.Replace(fine, `"user_id"`, `"user_id":1,"user_id"`, 1)), "42"},
		{"user a list of two", ours("user_id", []int{42, 1}), "user claim not usable"},
		{"user an object", ours("user_id", map[string]any{"id": 1}), "user claim not usable"},
		{"user with the scopes' separator", ours("user_id", "42\x00acme"), "user claim not usable"},
		{"roles an object", ours("roles", map[string]any{"0": "manager"}), "grants claim not usable"},
		{"more roles than anybody has", ours("roles", json.RawMessage("["+strings.Repeat("1,", 4000)+"1]")), "token too large"},
		{"huge", ours("x", strings.Repeat("a", maxToken)), "token too large"},
		{"deep", ours("x", json.RawMessage(strings.Repeat("[", 2000)+strings.Repeat("]", 2000))), "claims nested too deeply"},
		{"claims a list", raw(head, `[]`), "token malformed"},
		{"claims null", raw(head, `null`), "issuer not accepted"},
		{"claims cut", raw(head, fine[:len(fine)-1]), "token malformed"},
		{"claims not UTF-8", raw(head, strings.Replace(fine, "live", "li\xffve", 1)), "audience not accepted"},
		{"a second object behind the claims", raw(head, fine+`{"user_id":1}`), "token malformed"},

		{"signature stripped", unsignedPart(token), "signature invalid"},
		{"signature and its dot stripped", strings.TrimSuffix(unsignedPart(token), "."), "token malformed"},
		{"signature of another token", transplant(ours("user_id", 1), token), "signature invalid"},
		{"signature zero", resigned(token, new(big.Int), new(big.Int)), "signature invalid"},
		{"signature r = 0", resigned(token, new(big.Int), s), "signature invalid"},
		{"signature s = n", resigned(token, r, n), "signature invalid"},
		{"signature in DER", unsignedPart(token) + base64.RawURLEncoding.EncodeToString(der), "signature invalid"},
		// ECDSA lets anybody make the second spelling of a signature; it says the same of the same claims, and a token is
		// nobody's key in rowfeed.
		{"signature's other spelling (n - s)", resigned(token, r, new(big.Int).Sub(n, s)), "42"},
		{"signature one byte longer", token + "AA", "signature invalid"},
		{"padding", token + "==", "token malformed"},
		{"standard Base64", strings.Replace(token, ".", "+/.", 1), "token malformed"},
		{"a space before it", " " + token, "token malformed"},
		{"a line break behind it", token + "\n", "token malformed"},
		{"a line break in the signature", token[:len(token)-4] + "\n" + token[len(token)-4:], "token malformed"},
		{"a tab in the claims", strings.Replace(token, ".", ".\t", 1), "token malformed"},
		{"Bearer before it", "Bearer " + token, "token malformed"},
		{"five parts, as an encrypted one has", token + ".AA.AA", "token malformed"},
		{"JSON serialization", `{"payload":"e30","signature":"AA"}`, "token malformed"},
	} {
		t.Run(attack.name, func(t *testing.T) {
			t.Parallel()
			switch attack.outcome {
			case "42":
				wantIdentity(t, a, attack.token, "nalar", "42")
			case "42 of partner":
				wantIdentity(t, a, attack.token, "partner", "42")
			case "unavailable": // whether there is such a key by now is asked once for all
				wantUnavailable(t, a, attack.token, "asked a moment ago")
			default:
				wantRefusal(t, a, attack.token, attack.outcome)
			}
		})
	}
	t.Cleanup(func() {
		if lured.Load() != 0 || server.asked.Load() != 1 {
			t.Errorf("the attacker's server was asked %d times, ours %d", lured.Load(), server.asked.Load())
		}
	})
}

// wantIdentity fails unless the token is the user's of the issuer, with no more grants than that.
func wantIdentity(t testing.TB, a *Authority, token, issuer, user string) {
	t.Helper()
	id := identify(t, a, token)
	grants := 2
	if issuer != "nalar" {
		grants = 0 // auth.grants are auth.jwt's
	}
	if id.Issuer != issuer || id.User != user || len(id.Grants) != grants {
		t.Errorf("got %+v", id)
	}
}
