package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const testSecret = "a secret for tests of more than thirty-two bytes"

// rowfeed runs a command line with an environment, as run does.
func rowfeed(t *testing.T, environ []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	env := &environment{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, environ: append(environ, "A=b")}
	code = execute(t.Context(), env, args)
	return out.String(), errs.String(), code
}

// configFile writes a configuration whose auth section is the one given.
func configFile(t *testing.T, auth string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rowfeed.yaml")
	if err := os.WriteFile(path, []byte("auth:\n  grants: [all]\n"+auth), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestToken(t *testing.T) {
	t.Parallel()
	file := configFile(t, `
  user: "{user_id}"
  jwt: {algorithms: [HS384, HS256], secret: "`+testSecret+`",
        issuer: erp, audience: live, claims: {token_type: access}}`)
	before := time.Now().Add(-time.Second)
	stdout, stderr, code := rowfeed(t, nil, "token", "-c", file, "--user", "42", "--ttl", "2h", "--operator",
		"--claim", "warehouses=[1,2]", "--claim", "realm.access.roles=[\"a\"]", "--claim", "https://x.example/y=plain",
		"--claim", "big=12345678901234567890")
	if code != 0 || stderr != "" || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	token, err := jwt.NewParser(jwt.WithValidMethods([]string{"HS384"}), jwt.WithIssuer("erp"), jwt.WithAudience("live"),
		jwt.WithIssuedAt(), jwt.WithExpirationRequired(), jwt.WithJSONNumber(),
	).Parse(strings.TrimSpace(stdout), func(*jwt.Token) (any, error) { return []byte(testSecret), nil })
	if err != nil {
		t.Fatal(err)
	}
	claims := token.Claims.(jwt.MapClaims)
	expires, _ := claims.GetExpirationTime()
	if d := expires.Sub(before); d < 2*time.Hour || d > 2*time.Hour+time.Minute {
		t.Errorf("expires in %s", d)
	}
	if id, _ := claims["jti"].(string); len(id) < 20 {
		t.Errorf("jti = %q", id)
	}
	for _, name := range []string{"iat", "exp", "jti", "iss", "aud"} {
		delete(claims, name)
	}
	want := jwt.MapClaims{
		"user_id": json.Number("42"), "token_type": "access", "rowfeed_operator": true,
		"warehouses": []any{json.Number("1"), json.Number("2")}, "https://x.example/y": "plain",
		"realm": map[string]any{"access": map[string]any{"roles": []any{"a"}}}, "big": json.Number("12345678901234567890"),
	}
	if !reflect.DeepEqual(claims, want) {
		t.Errorf("claims\n%v\nwant\n%v", claims, want)
	}
}

func TestTokenKeys(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		configured, alg, want string
		key                   crypto.Signer
	}{
		{"RS256, PS512", "", "RS256", rsaKey},
		{"RS256, PS512", "PS512", "PS512", rsaKey},
		{"ES256", "", "ES256", ecKey},
		{"EdDSA", "", "EdDSA", edKey},
	} {
		public, private := pemFiles(t, test.key)
		file := configFile(t, fmt.Sprintf("  jwt: {algorithms: [%s], public_key_file: %q}", test.configured, public))
		args := []string{"token", "-c", file, "--user", "u7", "--key", private, "--alg", test.alg}
		stdout, stderr, code := rowfeed(t, nil, args...)
		if code != 0 {
			t.Errorf("%s: %s", test.want, stderr)
			continue
		}
		token, err := jwt.NewParser(jwt.WithValidMethods([]string{test.want})).Parse(strings.TrimSpace(stdout),
			func(*jwt.Token) (any, error) { return test.key.Public(), nil })
		if err != nil {
			t.Errorf("%s: %v", test.want, err)
			continue
		}
		if subject, _ := token.Claims.GetSubject(); subject != "u7" {
			t.Errorf("%s: sub = %q", test.want, subject)
		}
	}
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, private := pemFiles(t, key)
	_, foreign := pemFiles(t, other)
	secret := configFile(t, `  jwt: {algorithms: [HS256], secret: "`+testSecret+`"}`)
	pair := configFile(t, fmt.Sprintf("  jwt: {algorithms: [ES256], public_key_file: %q}", public))
	prefixed := configFile(t, "  user: 'u-{sub}'\n"+`  jwt: {algorithms: [HS256], secret: "`+testSecret+`"}`)
	for _, test := range []struct {
		args string
		want string
	}{
		{"token -c " + secret, `required flag(s) "user" not set`},
		{"token -c " + secret + " --user 1 --ttl 0s", "give --ttl a time above 0"},
		{"token -c " + secret + " --user 1 --ttl soon", "see rowfeed token --help"},
		{"token -c " + secret + " --user 1 --alg HS512", `algorithm "HS512" would be refused: give one of HS256`},
		{"token -c " + secret + " --user 1 --key " + private, "auth.jwt.algorithms are HS256: give a key that fits"},
		{"token -c " + secret + " --user 1 --claim a", `claim "a" has no value: write --claim name=value`},
		{"token -c " + secret + " --user 1 --claim a=1 --claim a.b=2", "claim a.b: a is a value already"},
		{"token -c " + secret + " --user 1 extra", `unexpected argument "extra": see rowfeed token --help`},
		{"token -c " + prefixed + " --user 1", `user "1" does not fit auth.user "u-{sub}"`},
		{"token -c " + pair + " --user 1", "give the private key to it with --key"},
		{"token -c " + pair + " --user 1 --key " + foreign, "does not belong to auth.jwt.public_key_file"},
		{"token -c " + pair + " --user 1 --key " + public, "there is none in it"},
		{"token -c " + pair + " --user 1 --key nowhere.pem", "name its file with --key"},
		{"token -c nowhere.yaml --user 1", "name a file that can be read with --config"},
		{"tokn", `unknown command "tokn": did you mean token?`},
	} {
		stdout, stderr, code := rowfeed(t, nil, strings.Fields(test.args)...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 ||
			!strings.HasPrefix(stderr, "rowfeed: ") {
			t.Errorf("%s:\ncode %d, stdout %q, stderr %q", test.args, code, stdout, stderr)
		}
		if strings.Contains(stderr, testSecret) {
			t.Errorf("%s: the secret is in the message", test.args)
		}
	}
}

// TestTokenNeedsAuthAlone checks that a problem elsewhere is not in the way, and that all of auth's are told.
func TestTokenNeedsAuthAlone(t *testing.T) {
	t.Parallel()
	environ := []string{"ROWFEED_AUTH_JWT_SECRET=" + testSecret, "ROWFEED_AUTH_JWT_ALGORITHMS=HS256",
		"ROWFEED_SERVER_LISTEN=nowhere"}
	file := configFile(t, "")
	if _, stderr, code := rowfeed(t, environ, "token", "-c", file, "--user", "1"); code != 0 {
		t.Errorf("stderr %q", stderr)
	}
	environ = []string{"ROWFEED_AUTH_JWT_SECRET=short", "ROWFEED_AUTH_JWT_ALGORITHMS=HS256,none"}
	_, stderr, code := rowfeed(t, environ, "token", "-c", file, "--user", "1")
	if code != 1 || strings.Count(stderr, "\n") != 2 || strings.Count(stderr, "rowfeed: auth.jwt.") != 2 {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}

func TestNoConfiguration(t *testing.T) { // not parallel: it changes the folder
	t.Chdir(t.TempDir())
	_, stderr, code := rowfeed(t, nil, "serve")
	if code != 1 || stderr != "rowfeed: no configuration: there is no rowfeed.yaml in this folder, "+
		"and no variable sets a key: name the file with --config\n" {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"token", "--help"}, {"tail", "--help"}} {
		var out, errs bytes.Buffer
		if code := run(context.Background(), args, strings.NewReader(""), &out, &errs); code != 0 || errs.Len() > 0 ||
			!strings.Contains(out.String(), "Usage:") {
			t.Errorf("%v: code %d, stdout %q, stderr %q", args, code, out.String(), errs.String())
		}
	}
}

// pemFiles writes both halves of a key.
func pemFiles(t *testing.T, key crypto.Signer) (public, private string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	public = write("public.pem", "PUBLIC KEY", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	return public, write("private.pem", "PRIVATE KEY", der, err)
}

// TestTokenOfIssuer: --issuer makes a token as a further issuer would.
func TestTokenOfIssuer(t *testing.T) {
	t.Parallel()
	file := configFile(t, `
  user: "{user_id}"
  jwt: {algorithms: [HS256], secret: "`+testSecret+`", issuer: erp, claims: {token_type: access}}
  issuers:
    - {name: partner, algorithms: [HS256], secret: "`+testSecret+` of theirs", audience: live, user: "p-{sub}", grants: [all]}`)
	stdout, stderr, code := rowfeed(t, nil, "token", "-c", file, "--user", "p-42", "--issuer", "partner", "--kid", "7")
	if code != 0 {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	token, err := jwt.NewParser(jwt.WithIssuer("partner"), jwt.WithAudience("live"), jwt.WithSubject("42")).Parse(
		strings.TrimSpace(stdout), func(*jwt.Token) (any, error) { return []byte(testSecret + " of theirs"), nil })
	if err != nil || token.Header["kid"] != "7" || token.Claims.(jwt.MapClaims)["token_type"] != nil {
		t.Errorf("got %+v, %v", token, err)
	}
	for _, test := range [][]string{
		{`issuer "nobody" is not configured: give one of erp, partner`, "--user", "42", "--issuer", "nobody"},
		{`user "42" does not fit auth.issuers[0].user "p-{sub}"`, "--user", "42", "--issuer", "partner"},
		{"an operator's token is auth.jwt's", "--user", "p-42", "--issuer", "partner", "--operator"},
	} {
		_, stderr, code := rowfeed(t, nil, append([]string{"token", "-c", file}, test[1:]...)...)
		if code != 1 || !strings.Contains(stderr, test[0]) {
			t.Errorf("%v: code %d, %s", test[1:], code, stderr)
		}
	}
}
