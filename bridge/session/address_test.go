package session

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func proxied(t testing.TB) *Server {
	t.Helper()
	srv := &Server{}
	for _, p := range []string{"10.0.0.0/8", "2001:db8:1::/48"} {
		srv.proxies = append(srv.proxies, netip.MustParsePrefix(p))
	}
	return srv
}

// An address is what a trusted proxy says of its client, whatever the client says of itself; an IPv6 client is its /64.
func TestForwardedAddress(t *testing.T) {
	t.Parallel()
	srv := proxied(t)
	for _, tt := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"direct", "192.0.2.1:1234", nil, "192.0.2.1"},
		{"spoofed, direct", "192.0.2.1:1234", []string{"198.51.100.7"}, "192.0.2.1"},
		{"one proxy", "10.0.0.1:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"spoofed through a proxy", "10.0.0.1:1", []string{"198.51.100.7, 192.0.2.1"}, "192.0.2.1"},
		{"spoofed as a proxy", "10.0.0.1:1", []string{"10.9.9.9, 192.0.2.1"}, "192.0.2.1"},
		{"spoofed in a line of its own", "10.0.0.1:1", []string{"198.51.100.7", "192.0.2.1"}, "192.0.2.1"},
		{"two proxies", "10.0.0.1:1", []string{"192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		{"proxies all the way", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"rubbish before", "10.0.0.1:1", []string{"<script>, 192.0.2.1"}, "192.0.2.1"},
		{"rubbish last", "10.0.0.1:1", []string{"192.0.2.1, unknown"}, "10.0.0.1"},
		{"rubbish between", "10.0.0.1:1", []string{"192.0.2.1, _hidden, 10.0.0.2"}, "10.0.0.2"},
		{"nothing", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"many", "10.0.0.1:1", []string{strings.Repeat("198.51.100.7, ", 1000) + "192.0.2.1"}, "192.0.2.1"},
		{"with a port", "10.0.0.1:1", []string{"192.0.2.1:5555"}, "192.0.2.1"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:1", nil, "192.0.2.1"},
		{"proxy as IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{"IPv6", "[2001:db8:2:3:4:5:6:7]:1", nil, "2001:db8:2:3::/64"},
		{"IPv6, its neighbour", "[2001:db8:2:3:ffff::1]:1", nil, "2001:db8:2:3::/64"},
		{"IPv6 with a zone", "[fe80::1%eth0]:1", nil, "fe80::/64"},
		{"IPv6 through IPv6", "[2001:db8:1::1]:1", []string{"[2001:db8:2:3::9]:443"}, "2001:db8:2:3::/64"},
		{"IPv6 in brackets", "10.0.0.1:1", []string{"[2001:db8:2:3::9]"}, "2001:db8:2:3::/64"},
	} {
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{
			"X-Forwarded-For": tt.forwarded, "Forwarded": {"for=203.0.113.9"}, "X-Real-Ip": {"203.0.113.9"},
		}}
		if got := srv.address(r); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// FuzzForwarded: what a client puts into X-Forwarded-For before its proxy adds to it changes nothing.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", ",", "10.0.0.2", "unknown, ", "[::1", "2001:db8:1::1", "1.2.3.4:99999", "::ffff:10.0.0.1%x,"} {
		f.Add(seed)
	}
	srv := proxied(f)
	f.Fuzz(func(t *testing.T, said string) {
		for _, forwarded := range [][]string{{said + ", 192.0.2.1"}, {said, "192.0.2.1"}, {said, "192.0.2.1, 10.0.0.2"}} {
			r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": forwarded}}
			if got := srv.address(r); got != "192.0.2.1" {
				t.Errorf("%q: counted as %q", forwarded, got)
			}
		}
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {said}}}
		got := srv.address(r)
		if _, err := netip.ParseAddr(got); err != nil {
			if p, err := netip.ParsePrefix(got); err != nil || p.Bits() != 64 || p != p.Masked() {
				t.Errorf("%q: counted as %q", said, got)
			}
		}
	})
}
