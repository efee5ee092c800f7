package audience

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Origins is a compiled server.allowed_origins.
type Origins struct {
	exact   map[string]bool
	subtree map[string]bool // without the leading "*"
}

// maxOrigin bounds what is parsed: a host name has at most 253 bytes.
const maxOrigin = 512

// NewOrigins compiles the list. An entry is an origin as a browser writes it, https://erp.nalar.example, with a port
// where it is not the scheme's own; or one with *. before the host, which stands for exactly one label, as in a
// certificate: https://*.nalar.example is https://a.nalar.example, neither https://nalar.example nor
// https://a.b.nalar.example.
func NewOrigins(allowed []string) (*Origins, error) {
	o := &Origins{exact: map[string]bool{}, subtree: map[string]bool{}}
	for i, entry := range allowed {
		scheme, host, port, err := splitOrigin(entry)
		if err != nil {
			return nil, fmt.Errorf("server.allowed_origins[%d]: %w: write it as https://erp.nalar.example", i, err)
		}
		suffix, wild := strings.CutPrefix(host, "*.")
		switch {
		case strings.Contains(suffix, "*"), suffix == "":
			return nil, fmt.Errorf("server.allowed_origins[%d]: a * can only be the first label of a host: "+
				"write https://*.nalar.example, or list the origins", i)
		case wild:
			o.subtree[scheme+"://."+suffix+":"+port] = true
		default:
			o.exact[scheme+"://"+host+":"+port] = true
		}
	}
	return o, nil
}

// Allowed says whether an Origin header is on the list. An absent (empty) one is not, nor is the opaque origin, null.
func (o *Origins) Allowed(origin string) bool {
	scheme, host, port, err := splitOrigin(origin)
	if err != nil || strings.Contains(host, "*") {
		return false
	}
	if o.exact[scheme+"://"+host+":"+port] {
		return true
	}
	label, parent, ok := strings.Cut(host, ".")
	return ok && label != "" && o.subtree[scheme+"://."+parent+":"+port]
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

// splitOrigin parses a serialized origin (RFC 6454, section 6.2), in lower case and with its port.
func splitOrigin(origin string) (scheme, host, port string, err error) {
	if len(origin) > maxOrigin {
		return "", "", "", errors.New("an origin that is too long")
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Hostname() == "" {
		return "", "", "", errors.New("not an origin")
	}
	if u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(origin, "#") {
		return "", "", "", errors.New("more than scheme, host and port")
	}
	host = strings.ToLower(u.Hostname())
	for i := range len(host) {
		if !hostByte(host[i]) {
			return "", "", "", errors.New("a host that browsers don't send (write other alphabets as xn--…)")
		}
	}
	if port = u.Port(); port == "" {
		port = defaultPorts[u.Scheme]
	}
	return u.Scheme, host, port, nil
}

func hostByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == ':' || c == '*'
}
