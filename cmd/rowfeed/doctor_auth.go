package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/config"
)

// leastEntropy is in bits, by the frequencies of a secret's bytes: 32 random hexadecimal digits have some 115, and a
// sentence of as many letters is far easier to guess than its letters say.
const leastEntropy = 90

// checkSecrets looks for secrets that can be guessed or are shared.
func checkSecrets(_ context.Context, x *examination) []finding {
	var found []finding
	holders := map[string]string{} // secret: the first key that has it
	for _, p := range x.cfg.Auth.Parties() {
		if p.JWT.Secret == "" && p.JWT.SecretFile == "" {
			continue
		}
		key := p.Key + ".secret"
		if p.JWT.SecretFile != "" {
			key = p.Key + ".secret_file"
		}
		b, err := p.JWT.SecretBytes()
		secret := string(b)
		const do = "make one by `openssl rand -base64 48`, and give it to the issuer too"
		switch {
		case err != nil:
			found = append(found, fail(key+": "+err.Error(), "name a file that this user may read"))
		case holders[secret] != "":
			found = append(found, fail(key+" is the secret of "+holders[secret]+" too: each of the two can sign for the other",
				"give each issuer a secret of its own"))
		case strings.HasPrefix(secret, "django-insecure-"):
			found = append(found, warn(key+" is a key that Django made for development", do))
		case entropy(secret) < leastEntropy:
			found = append(found, warn(key+" looks as if it could be guessed, and whoever has one token can try without end", do))
		default:
			found = append(found, good("%s has %d bytes, well mixed", key, len(secret)))
		}
		holders[secret] = key
	}
	return found
}

// entropy estimates the bits of a text by the frequencies of its bytes (Shannon); what repeats itself counts once.
func entropy(text string) float64 {
	for period := 1; period <= len(text)/2; period++ {
		if strings.HasPrefix(strings.Repeat(text[:period], len(text)/period+1), text) {
			text = text[:period]
			break
		}
	}
	var counts [256]float64
	for i := range len(text) {
		counts[text[i]]++
	}
	bits := 0.0
	for _, n := range counts {
		if n > 0 {
			bits -= n * math.Log2(n/float64(len(text)))
		}
	}
	return bits
}

// checkFiles looks for files with secrets that every user of the machine can read.
func checkFiles(_ context.Context, x *examination) []finding {
	if runtime.GOOS == "windows" { // its permissions are of another kind
		return nil
	}
	files := map[string]string{} // path: key
	for _, p := range x.cfg.Auth.Parties() {
		if p.JWT.SecretFile != "" {
			files[p.JWT.SecretFile] = p.Key + ".secret_file"
		}
	}
	if x.cfg.Server.TLS.KeyFile != "" {
		files[x.cfg.Server.TLS.KeyFile] = "server.tls.key_file"
	}
	if text, err := os.ReadFile(x.path); err == nil && holdsSecret(x.cfg, string(text)) {
		files[x.path] = "the configuration file, which has a secret or a password in it,"
	}
	var found []finding
	for _, path := range slices.Sorted(maps.Keys(files)) {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			found = append(found, fail(files[path]+": "+err.Error(), "name a file that this user may read"))
		case info.Mode().Perm()&0o007 != 0:
			found = append(found, warn(fmt.Sprintf("%s can be read by every user of this machine (%s)", files[path], info.Mode().Perm()),
				"chmod o= "+path+", or mount it with mode 0400"))
		default:
			found = append(found, good("%s is for its owner and group alone", files[path]))
		}
	}
	return found
}

// holdsSecret says that a text has one of the configuration's secrets in it.
func holdsSecret(cfg *config.Config, text string) bool {
	for _, p := range cfg.Auth.Parties() {
		if p.JWT.Secret != "" && strings.Contains(text, p.JWT.Secret) {
			return true
		}
	}
	for _, url := range []string{cfg.Database.URL, cfg.Database.AdminURL} {
		if _, rest, ok := strings.Cut(url, "://"); ok && strings.Contains(text, url) {
			user, _, at := strings.Cut(rest, "@")
			if at && strings.Contains(user, ":") {
				return true
			}
		}
	}
	return false
}

// checkPublishedKeys fetches each key set once.
func checkPublishedKeys(ctx context.Context, x *examination) []finding {
	var found []finding
	for _, p := range x.cfg.Auth.Parties() {
		if p.JWT.JWKSURL == "" {
			continue
		}
		key := p.Key + ".jwks_url"
		set, err := audience.FetchKeys(ctx, p.JWT, x.client)
		if err != nil {
			found = append(found, fail(key+": "+err.Error(),
				"make it reachable from here; SSL_CERT_FILE names the certificates of a CA of your own"))
			continue
		}
		for _, algorithm := range p.JWT.Algorithms {
			n := set.Keys[algorithm]
			switch {
			case n == 0:
				found = append(found, fail(fmt.Sprintf("%s: no key fits %s, so tokens signed with it are refused%s", key, algorithm,
					because(set.Skipped)), "list in "+p.Key+".algorithms what the issuer signs with"))
			case set.Unnamed[algorithm] > 0 && n > 1:
				found = append(found, warn(fmt.Sprintf("%s: %d keys fit %s, and not all have a kid: tokens without one are refused",
					key, n, algorithm), "have the issuer name its keys"))
			default:
				found = append(found, good("%s: %d keys for %s%s", key, n, algorithm, because(set.Skipped)))
			}
		}
	}
	return found
}

func because(skipped []string) string {
	if len(skipped) == 0 {
		return ""
	}
	return " (of the others one " + strings.Join(skipped, "; one ") + ")"
}

// checkTokens looks for tokens that are accepted although they were made for something else.
func checkTokens(_ context.Context, x *examination) []finding {
	auth := x.cfg.Auth
	var found []finding
	for _, p := range auth.Parties() {
		if p.JWT.Audience == "" && len(p.JWT.Claims) == 0 {
			found = append(found, warn(p.Key+" has neither audience nor claims: tokens that its issuer makes for other programs, and "+
				"refresh tokens signed alike, are accepted",
				"set "+p.Key+".audience, or claims such as {token_type: access}"))
		}
	}
	if len(auth.Issuers) > 0 && auth.JWT.Issuer == "" {
		found = append(found, warn("auth.jwt.issuer is not set beside auth.issuers: tokens of any other issuer are checked with "+
			"auth.jwt's key", "set it to what iss says in those tokens"))
	}
	if auth.JWT.QueryParameter != "" {
		found = append(found, warn("auth.jwt.query_parameter lets tokens into URLs, which are logged on the way",
			"leave it empty: the client library needs no token in the URL"))
	}
	if len(found) == 0 {
		found = append(found, good("every issuer says what its tokens have to be for"))
	}
	return found
}

// checkOrigins looks for pages that could act as the user who visits them.
func checkOrigins(_ context.Context, x *examination) []finding {
	origins, cookie := x.cfg.Server.AllowedOrigins, x.cfg.Auth.JWT.Cookie != ""
	var found []finding
	for i, origin := range origins {
		key := fmt.Sprintf("server.allowed_origins[%d]", i)
		host := strings.TrimPrefix(origin, "http://")
		local := strings.HasPrefix(host, "localhost") || strings.HasPrefix(host, "127.") || strings.HasPrefix(host, "[::1]")
		if strings.Contains(origin, "*") && cookie {
			found = append(found, warn(key+" lets the pages of every subdomain act as the user, by the cookie",
				"list the origins that are meant"))
		}
		if strings.HasPrefix(origin, "http://") && !local {
			found = append(found, warn(key+" is not https: whoever is on the network can be that page", "serve the page by https"))
		}
	}
	if len(origins) == 0 && cookie {
		found = append(found, warn("server.allowed_origins is empty: no page of another origin may connect",
			"list the ERP's, such as https://erp.example"))
	}
	if len(found) == 0 {
		found = append(found, good("%d listed", len(origins)))
	}
	return found
}

// checkClaimGrants looks for templates that make what the grants query makes: a claim keeps alive what was revoked.
func checkClaimGrants(_ context.Context, x *examination) []finding {
	auth := x.cfg.Auth
	if auth.GrantsQuery == "" {
		return nil
	}
	var found []finding
	for _, p := range auth.Parties() {
		for i, template := range p.Grants {
			key := fmt.Sprintf("%s[%d]", p.GrantsKey, i)
			prefix, _, _ := strings.Cut(template, "{")
			switch {
			case prefix == "":
				found = append(found, warn(key+" may make any grant, those of auth.grants_query too: what is revoked in the database "+
					"stays until the token expires", "begin it with a word of its own, such as claim:{…}"))
			case strings.Contains(auth.GrantsQuery, "'"+prefix):
				found = append(found, warn(fmt.Sprintf("%s makes %q grants, and so does auth.grants_query: what is revoked in the "+
					"database stays until the token expires", key, prefix), "leave it to the query: remove the template"))
			}
		}
	}
	if len(found) == 0 {
		found = append(found, good("no template makes what auth.grants_query makes"))
	}
	return found
}
