package session

import (
	"net/http"
	"net/netip"
	"strings"
)

// address returns the name under which a client's connections are counted: that of the last address in
// X-Forwarded-For that is no trusted proxy's, where the connection itself comes from one. What a client adds to that
// header stands before what the proxy does, and is not read; the header Forwarded (RFC 7239) is not read at all.
func (srv *Server) address(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return strings.Clone(r.RemoteAddr)
	}
	client := plainAddress(from.Addr())
	if !srv.trusted(client) {
		return counted(client)
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, ok := parseHop(hops[i])
		if !ok {
			break
		}
		client = hop
		if !srv.trusted(hop) {
			break
		}
	}
	return counted(client)
}

// parseHop reads one address of X-Forwarded-For; some proxies add a port.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return plainAddress(withPort.Addr()), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	a, err := netip.ParseAddr(text)
	return plainAddress(a), err == nil
}

// plainAddress gives an address one form: IPv4 in IPv6 (RFC 4291, section 2.5.5.2) is IPv4, and zones are the host's own.
func plainAddress(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// counted is the name of an address for limits: of IPv6 it is the network of 64 bits, all of whose addresses one
// machine may use (RFC 4291, section 2.5.1).
func counted(a netip.Addr) string {
	if a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().String()
	}
	return a.String()
}

func (srv *Server) trusted(a netip.Addr) bool {
	for _, p := range srv.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
