package config

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// checker collects problems.
type checker struct{ problems Problems }

func (c *checker) add(key, what, do string) {
	c.problems = append(c.problems, Problem{Key: key, What: what, Do: do})
}

// Validate returns everything that is wrong with the configuration and can be told without the database: values, files
// that it names, keys that contradict each other. Conditions, and which columns templates read, are for package rule.
func (c *Config) Validate() Problems {
	var check checker
	check.database(c)
	check.server(c.Server)
	check.auth(c.Auth)
	check.channels(c)
	check.leases(c)
	check.presence(c)
	check.metrics(c)
	check.log(c.Log)
	found := slices.DeleteFunc(check.problems, func(p Problem) bool { return c.origin.follows(p.Key) })
	return c.Locate(found)
}

// schemaName leaves room for the channel's name in that of NOTIFY: together at most 63 bytes.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,21}$`)

func (c *checker) database(cfg *Config) {
	d := cfg.Database
	if d.URL != "" || cfg.origin.postgres {
		c.url("database.url", d.URL)
	} else {
		c.add("database.url", "is not set", "write postgres://user@host:5432/database, here or in ROWFEED_DATABASE_URL")
	}
	if d.AdminURL != "" {
		c.url("database.admin_url", d.AdminURL)
	}
	if !schemaName.MatchString(d.Schema) || strings.HasPrefix(d.Schema, "pg_") || d.Schema == "public" ||
		d.Schema == "information_schema" {
		c.add("database.schema", quote(d.Schema)+" can't be rowfeed's own schema",
			"choose a name of its own: at most 22 of a-z, 0-9 and _, not public and not pg_…")
	}
	if d.Retention < time.Minute {
		c.add("database.retention", d.Retention.String()+" is too short", "write at least 1m")
	}
}

// url checks what to connect with by the library that connects: it knows URLs, keywords, several hosts and the files
// that they name. Nothing of the text is repeated, since it may hold a password.
func (c *checker) url(key, text string) {
	_, err := pgconn.ParseConfig(text)
	if err == nil {
		return
	}
	const do = "write postgres://user@host:5432/database, with % and two hex digits for special characters"
	if _, reason, ok := strings.Cut(err.Error(), "`: "); ok && !strings.HasPrefix(reason, "failed to parse as") {
		c.add(key, "can't be used: "+clean(reason), "correct that part of the address")
		return
	}
	c.add(key, "is not the address of a PostgreSQL database", do)
}

func (c *checker) server(s Server) {
	c.address("server.listen", s.Listen)
	if s.AdminListen != "" {
		c.address("server.admin_listen", s.AdminListen)
		if s.AdminListen == s.Listen && !strings.HasSuffix(s.Listen, ":0") {
			c.add("server.admin_listen", "is the same as server.listen", "give the operator's page a port of its own")
		}
	}
	for i, origin := range s.AllowedOrigins {
		c.origin(fmt.Sprintf("server.allowed_origins[%d]", i), origin)
	}
	c.positive("server.max_connections", s.MaxConnections)
	c.positive("server.max_connections_per_user", s.MaxConnectionsPerUser)
	c.positive("server.max_connections_per_address", s.MaxConnectionsPerAddress)
	c.positive("server.max_subscriptions", s.MaxSubscriptions)
	c.positive("server.frames_per_second", s.FramesPerSecond)
	for i, proxy := range s.TrustedProxies {
		if p, err := netip.ParsePrefix(proxy); err != nil || p != p.Masked() || p.Addr().Is4In6() {
			c.add(fmt.Sprintf("server.trusted_proxies[%d]", i), quote(proxy)+" is not a network",
				"write its address and length, such as 10.0.0.0/8, or 192.0.2.7/32 for one machine")
		}
	}
	c.duration("server.drain", s.Drain)
	c.tls(s.TLS)
}

func (c *checker) tls(t TLS) {
	switch {
	case t == TLS{}:
	case t.CertFile == "":
		c.add("server.tls.cert_file", "is missing beside key_file", "name the certificate's file, or leave out both")
	case t.KeyFile == "":
		c.add("server.tls.key_file", "is missing beside cert_file", "name the key's file, or leave out both")
	default:
		if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
			c.add("server.tls.cert_file", "can't be used: "+clean(err.Error()),
				"name a PEM certificate and its key that this user may read")
		}
	}
}

func (c *checker) address(key, address string) {
	_, port, err := net.SplitHostPort(address)
	if number, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || strconv.FormatUint(number, 10) != port {
		c.add(key, quote(address)+" is not an address to listen on", `write host:port, such as "127.0.0.1:8080" or ":8080"`)
	}
}

// origin checks scheme://host[:port], as browsers send it (RFC 6454, section 6.2), with *. for any subdomain.
func (c *checker) origin(key, origin string) {
	const do = "write it as browsers send it, such as https://erp.example or https://*.erp.example"
	if origin == "*" || origin == "null" {
		c.add(key, quote(origin)+" would let any site act as the user who visits it", do)
		return
	}
	plain := strings.Replace(origin, "://*.", "://", 1)
	u, err := url.Parse(plain)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" ||
		!strings.EqualFold(u.Scheme+"://"+u.Host, plain) || strings.ContainsAny(plain, "*, ") ||
		strings.HasSuffix(plain, ":") {
		c.add(key, quote(origin)+" is not an origin", do)
	}
}

func (c *checker) positive(key string, n int) {
	if n <= 0 {
		c.add(key, strconv.Itoa(n)+" lets nothing through", "write a number above 0")
	}
}

func (c *checker) duration(key string, d time.Duration) {
	if d <= 0 {
		c.add(key, d.String()+" is not a time to wait", "write one above 0, such as 30s")
	}
}

func (c *checker) log(l Log) {
	c.oneOf("log.level", l.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", l.Format, "json", "console")
}

func (c *checker) oneOf(key, value string, known ...string) {
	if slices.Contains(known, value) {
		return
	}
	do := "write " + alternatives(known)
	if near := nearest(value, slices.Values(known)); near != "" {
		do = "did you mean " + near + "?"
	}
	if value == "" {
		c.add(key, "is not set", "write "+alternatives(known))
		return
	}
	c.add(key, quote(value)+" is not known", do)
}

// alternatives lists words as a, b or c.
func alternatives(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// template checks that the braces of a template are balanced: {name}, with {{ and }} for braces themselves. It
// returns the names.
func (c *checker) template(key, text string) []string {
	var names []string
	for rest := text; ; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			return names
		}
		if doubled := rest[i : i+1]; strings.HasPrefix(rest[i+1:], doubled) {
			rest = rest[i+2:]
			continue
		}
		end := strings.IndexAny(rest[i+1:], "{}")
		switch {
		case rest[i] == '}':
			c.add(key, "has a } without its { in "+quote(text), "write {name}, or }} for the brace itself")
			return nil
		case end < 0 || rest[i+1+end] == '{':
			c.add(key, "has a { without its } in "+quote(text), "write {name}, or {{ for the brace itself")
			return nil
		case strings.TrimSpace(rest[i+1:i+1+end]) == "":
			c.add(key, "has empty braces in "+quote(text), "write the name between them")
			return nil
		}
		names = append(names, rest[i+1:i+1+end])
		rest = rest[i+1+end+1:]
	}
}

// sorted returns the names of a map in order.
func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
