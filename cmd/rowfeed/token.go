package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/config"
)

// tokenOptions are the flags of `rowfeed token`, and of the verbs that mint a token for themselves.
type tokenOptions struct {
	user     string
	claims   []string // name=value
	ttl      time.Duration
	keyFile  string
	alg      string
	kid      string
	operator bool
	issuer   string // one of auth.issuers; empty: auth.jwt
}

const tokenLong = `Makes a token as the issuer of the configuration would, to try things with, and prints it alone.

The claim that auth.user reads holds the user, and the claims that auth.jwt.claims wants, issuer and
audience are filled in. Other claims, such as those that auth.tenant and auth.grants read, are given by
--claim; a value that is JSON is taken as JSON.

Tokens that are checked with a secret are signed with it; for RS, PS, ES and EdDSA give the private key
that belongs to auth.jwt.public_key_file, or, with its --kid, to a key at auth.jwt.jwks_url.

The token is as good as a login: don't keep it in files or in a shell's history.`

//nolint:gosec // no credential: how to make one
const tokenExample = `  rowfeed token --user 42
  rowfeed token --user 42 --claim 'warehouses=[1,2]' --claim company=3 --ttl 8h
  rowfeed token --user 42 --key private.pem --alg RS256
  rowfeed token --user 42 --issuer https://partner.example`

func newTokenCommand(env *environment) *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use:     "token --user USER",
		Short:   "Make a development token",
		Long:    tokenLong,
		Example: tokenExample,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := env.config("auth")
			if err != nil {
				return err
			}
			signed, err := mint(cfg.Auth, o, time.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(env.stdout, signed)
			return err
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.operator, "operator", false, "let the holder use the operator's page")
	_ = cmd.MarkFlagRequired("user") // fails only for a flag that is not there
	return cmd
}

// flags adds the flags of minting.
func (o *tokenOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "the `user` whom the token is for")
	f.StringArrayVar(&o.claims, "claim", nil,
		"a further claim, `name=value`, as often as needed; a.b is b within a, unless there is a / in the name")
	f.DurationVar(&o.ttl, "ttl", time.Hour, "how long the token is good for")
	f.StringVar(&o.keyFile, "key", "", "private key `file` in PEM, for RS, PS, ES and EdDSA")
	f.StringVar(&o.kid, "kid", "", "`name` of the private key, as the key set has it")
	f.StringVar(&o.issuer, "issuer", "", "the `name` of one of auth.issuers, to make a token as that one would (default auth.jwt)")
	f.StringVar(&o.alg, "alg", "", "`algorithm`, one of auth.jwt.algorithms (default the first that fits the key)")
}

// mint makes a token that a bridge with this configuration accepts.
func mint(auth config.Auth, o tokenOptions, now time.Time) (string, error) {
	if o.ttl <= 0 {
		return "", fmt.Errorf("a token for %s is of no use: give --ttl a time above 0, such as 1h", o.ttl)
	}
	party, err := partyOf(auth, o)
	if err != nil {
		return "", err
	}
	claims := map[string]any{
		"iat": now.Unix(),
		"exp": now.Add(o.ttl).Unix(),
		"jti": rand.Text(),
	}
	if party.JWT.Issuer != "" {
		claims["iss"] = party.JWT.Issuer
	}
	if party.JWT.Audience != "" {
		claims["aud"] = party.JWT.Audience
	}
	maps.Copy(claims, stringsToAny(party.JWT.Claims))
	if o.operator {
		claims["rowfeed_operator"] = true
	}
	if err := setUser(claims, party.UserKey, party.User, o.user); err != nil {
		return "", err
	}
	for _, claim := range o.claims {
		name, text, ok := strings.Cut(claim, "=")
		if !ok || name == "" {
			return "", fmt.Errorf("claim %q has no value: write --claim name=value", name)
		}
		if err := setClaim(claims, name, value(text)); err != nil {
			return "", err
		}
	}
	return sign(party, o, claims)
}

// partyOf finds the issuer whose token is wanted.
func partyOf(auth config.Auth, o tokenOptions) (config.Party, error) {
	parties := auth.Parties()
	switch {
	case o.issuer == "":
		return parties[0], nil
	case o.operator:
		return config.Party{}, errors.New("an operator's token is auth.jwt's: leave --issuer out")
	}
	var names []string
	for _, p := range parties {
		if p.JWT.Issuer == o.issuer {
			return p, nil
		}
		if p.JWT.Issuer != "" {
			names = append(names, p.JWT.Issuer)
		}
	}
	if len(names) == 0 {
		return config.Party{}, fmt.Errorf("issuer %q is not configured, nor is any other: leave --issuer out", o.issuer)
	}
	return config.Party{}, fmt.Errorf("issuer %q is not configured: give one of %s", o.issuer, strings.Join(names, ", "))
}

// setUser sets the claim that the template reads, so that the template gives user.
func setUser(claims map[string]any, key, template, user string) error {
	before, rest, _ := strings.Cut(template, "{")
	name, after, ok := strings.Cut(rest, "}")
	if !ok || strings.ContainsAny(before+name+after, "{}") {
		return fmt.Errorf("%s %q reads more than one claim: configure one alone, such as {user_id}", key, template)
	}
	plain, hasBefore := strings.CutPrefix(user, before)
	plain, hasAfter := strings.CutSuffix(plain, after)
	if !hasBefore || !hasAfter || plain == "" {
		return fmt.Errorf("user %q does not fit %s %q: give one that does with --user", user, key, template)
	}
	var id any = plain
	if digits(plain) && name != "sub" { // sub is a string: RFC 7519, section 4.1.2
		id = json.Number(plain) // as Django's SimpleJWT has user_id
	}
	return setClaim(claims, name, id)
}

// digits reports whether text is how JSON writes a whole number.
func digits(text string) bool {
	return strings.Trim(text, "0123456789") == "" && (text == "0" || !strings.HasPrefix(text, "0")) && text != ""
}

// setClaim sets a claim; dots lead into objects, unless the name is an address, as OpenID's namespaced claims are.
func setClaim(claims map[string]any, name string, value any) error {
	path := strings.Split(name, ".")
	if strings.Contains(name, "/") {
		path = []string{name}
	}
	for _, step := range path[:len(path)-1] {
		inner, ok := claims[step].(map[string]any)
		if !ok && claims[step] != nil {
			return fmt.Errorf("claim %s: %s is a value already: give it as one JSON object", name, step)
		}
		if inner == nil {
			inner = map[string]any{}
			claims[step] = inner
		}
		claims = inner
	}
	claims[path[len(path)-1]] = value
	return nil
}

// value takes a text for JSON if it is, numbers with all their digits, else for itself.
func value(text string) any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if json.Valid([]byte(text)) && decoder.Decode(&v) == nil {
		return v
	}
	return text
}

func stringsToAny(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
