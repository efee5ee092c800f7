package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var (
	cookieName    = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$") // RFC 6265: a token of RFC 9110
	parameterName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	firstArgument = regexp.MustCompile(`\$1([^0-9]|$)`)

	secondArgument = regexp.MustCompile(`\$2([^0-9]|$)`)
)

func (c *checker) auth(a Auth) {
	c.duration("auth.deadline", a.Deadline)
	j := a.JWT
	if j.Leeway < 0 {
		c.add("auth.jwt.leeway", j.Leeway.String()+" is below 0", "write 0s or more")
	}
	if j.Cookie != "" && !cookieName.MatchString(j.Cookie) {
		c.add("auth.jwt.cookie", quote(j.Cookie)+" is not a cookie's name", "write the name alone, such as access_token")
	}
	if p := j.QueryParameter; p != "" && (!parameterName.MatchString(p) || p == "cursor") {
		c.add("auth.jwt.query_parameter", quote(p)+" can't be the parameter", "write a name such as token")
	}
	names := map[string]bool{}
	for i, p := range a.Parties() {
		c.party(a, p)
		if i == 0 {
			continue
		}
		if name := p.JWT.Issuer; name == "" {
			c.add(p.Key+".name", "is not set", "write what its tokens have as iss")
		} else if names[name] || name == j.Issuer {
			c.add(p.Key+".name", quote(name)+" is there twice", "give each issuer one entry")
		}
		names[p.JWT.Issuer] = true
	}
	c.query("auth.user_query", a.UserQuery, len(a.Issuers) > 0)
	c.query("auth.grants_query", a.GrantsQuery, len(a.Issuers) > 0)
	c.grantsTables(a)
}

// grantsTables checks the tables behind the grants; whether they are there is for migrate and serve to say.
func (c *checker) grantsTables(a Auth) {
	if len(a.GrantsTables) > 0 && a.UserQuery == "" && a.GrantsQuery == "" {
		c.add("auth.grants_tables", "there is neither user_query nor grants_query: nothing is looked up anew",
			"write the query that reads these tables, or remove it")
	}
	for _, table := range sorted(a.GrantsTables) {
		key, column := join("auth.grants_tables", table), a.GrantsTables[table]
		c.table(key, table)
		if public, ok := strings.CutPrefix(table, "public."); ok {
			if _, twice := a.GrantsTables[public]; twice {
				c.add(key, "is the same table as "+quote(public), "remove one of them")
			}
		}
		if column != "" && (len(column) > 63 || clean(column) != column) {
			c.add(key, quote(column)+" can't be the name of a column", `name the column that holds the user, or write "" for everybody`)
		}
	}
}

// party checks an issuer: its keys, and what makes a user and grants of its tokens.
func (c *checker) party(a Auth, p Party) {
	c.keys(p.Key, p.JWT)
	if slices.Contains(sorted(p.JWT.Claims), "") {
		c.add(p.Key+".claims", "has a claim without a name", "write name: value")
	}
	own := func(key string) bool { return p.Key == "auth.jwt" || strings.HasPrefix(key, p.Key) } // else it was checked
	before := len(c.problems)
	if own(p.UserKey) {
		if names := c.template(p.UserKey, p.User); len(names) == 0 && len(c.problems) == before {
			c.add(p.UserKey, quote(p.User)+" makes everybody the same user", "name the claim in braces, such as {user_id}")
		}
	}
	if own(p.TenantKey) {
		c.template(p.TenantKey, p.Tenant)
	}
	for i, grant := range p.Grants {
		key := fmt.Sprintf("%s[%d]", p.GrantsKey, i)
		if c.template(key, grant); grant == "" {
			c.add(key, "is empty", "write a template such as user:{user_id}, or remove it")
		}
	}
	if len(p.Grants) == 0 && a.GrantsQuery == "" {
		c.add(p.GrantsKey, "is empty, and there is no grants_query: nobody would see anything",
			"write templates such as user:{user_id}")
	}
}

// query checks that a query asks about the user, and about the right one where there are several issuers.
func (c *checker) query(key, sql string, issuers bool) {
	switch {
	case sql == "":
	case !firstArgument.MatchString(sql):
		c.add(key, "does not read $1", "compare with $1, which is the user")
	case issuers && !secondArgument.MatchString(sql):
		c.add(key, "does not read $2, so that user 42 of every issuer would be the same person",
			"compare with $2, which is the issuer: $2 = 'https://issuer.example', or $2 in (…) for issuers that share users")
	}
}

// ReadsIssuer reports whether a query takes the issuer as its second argument.
func ReadsIssuer(sql string) bool { return secondArgument.MatchString(sql) }

// algorithms are the ones that tokens may be signed with: RFC 7518, section 3.1, and RFC 8037.
var algorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// keys checks how tokens are verified: the algorithms, the one source of the key, and that they go together.
func (c *checker) keys(key string, j JWT) {
	if len(j.Algorithms) == 0 {
		c.add(key+".algorithms", "is not set", "list what tokens are signed with, such as [HS256] or [RS256]")
	}
	var secret, public []string
	for i, alg := range j.Algorithms {
		at := fmt.Sprintf("%s.algorithms[%d]", key, i)
		switch {
		case strings.EqualFold(alg, "none"):
			c.add(at, "tokens without a signature are never accepted", "list what tokens are signed with")
			continue
		case !slices.Contains(algorithms, alg):
			c.oneOf(at, alg, algorithms...)
			continue
		case slices.Contains(j.Algorithms[:i], alg):
			c.add(at, alg+" is there twice", "remove one")
		}
		if strings.HasPrefix(alg, "HS") {
			secret = append(secret, alg)
		} else {
			public = append(public, alg)
		}
	}
	sources := []string{}
	for name, value := range map[string]string{"secret": j.Secret, "secret_file": j.SecretFile,
		"public_key_file": j.PublicKeyFile, "jwks_url": j.JWKSURL} {
		if value != "" {
			sources = append(sources, name)
		}
	}
	slices.Sort(sources)
	switch {
	case len(sources) == 0:
		c.add(key, "has no key to check tokens with", "set one of secret_file, secret, public_key_file and jwks_url")
	case len(sources) > 1:
		c.add(key+"."+sources[1], "there is "+sources[0]+" too", "keep one of "+strings.Join(sources, ", "))
	case len(secret) > 0 && len(public) > 0:
		c.add(key+".algorithms", secret[0]+" and "+public[0]+" don't go together: who has the public key could sign",
			"keep those that tokens are signed with")
	default:
		c.key(key, j, sources[0], secret, public)
	}
}

// key checks the key itself against the algorithms, all of one kind.
func (c *checker) key(key string, j JWT, source string, secret, public []string) {
	at := key + "." + source
	switch {
	case source == "secret" || source == "secret_file":
		if len(public) > 0 {
			c.add(at, public[0]+" is checked with a public key, not with a secret", "set public_key_file instead")
			return
		}
		bytes, err := j.SecretBytes()
		if err != nil {
			c.add(at, clean(err.Error()), "put the secret that signs the tokens there, or name its file")
			return
		}
		for _, alg := range secret {
			if need := secretLength[alg]; len(bytes) < need {
				c.add(at, fmt.Sprintf("has %d bytes, and %s wants at least %d (RFC 7518)", len(bytes), alg, need),
					"make a longer one, for instance by `openssl rand -base64 48`, and give it to the issuer too")
			}
		}
	case len(secret) > 0:
		c.add(at, secret[0]+" with a public key lets whoever has that key sign tokens",
			"list the algorithm of the key (RS256, ES256, EdDSA), or set secret_file instead")
	case source == "jwks_url":
		u, err := url.Parse(j.JWKSURL)
		switch {
		case err != nil || u.Scheme != "https" || u.Host == "":
			c.add(at, "is not an https address", "write https://host/path")
		case u.User != nil || u.Fragment != "":
			c.add(at, "has a name, a password or a fragment", "write https://host/path; the keys are public")
		}
	default:
		public, err := j.PublicKey()
		if err != nil {
			c.add(at, clean(err.Error()), "name the PEM file of the issuer's public key")
			return
		}
		for i, alg := range j.Algorithms {
			if fits := Algorithms(public); slices.Contains(algorithms, alg) && !slices.Contains(fits, alg) {
				c.add(fmt.Sprintf("%s.algorithms[%d]", key, i), alg+" does not fit the key in public_key_file",
					"write "+alternatives(fits))
			}
		}
	}
}
