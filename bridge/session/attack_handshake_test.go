package session_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/rig"
	"nalar.internal/rowfeed/test/wstest"
)

const sseBody = `{"subscriptions":[{"channel":"stock"}]}`

// upgrade sends the request of an upgrade with further headers, as they are written, and returns the answer.
func upgrade(t *testing.T, r *rig.Rig, path string, headers ...string) (*http.Response, *rawConn) {
	t.Helper()
	nc := wstest.Dial(t, r.Addr)
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: live.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rowfeed.v1\r\n", path)
	for _, h := range headers {
		fmt.Fprintf(nc, "%s\r\n", h)
	}
	fmt.Fprint(nc, "\r\n")
	c := &rawConn{nc, bufio.NewReader(nc), t}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatalf("%s %q: %v", path, headers, err)
	}
	return res, c
}

// handshake returns besides the close code of an upgrade that is closed at once; 0 where a welcome comes first.
func handshake(t *testing.T, r *rig.Rig, path string, headers ...string) (*http.Response, int) {
	t.Helper()
	res, c := upgrade(t, r, path, headers...)
	if res.StatusCode != http.StatusSwitchingProtocols {
		return res, 0
	}
	if op, p := c.next(); op == 8 && len(p) >= 2 {
		return res, int(binary.BigEndian.Uint16([]byte(p)))
	}
	return res, 0
}

// Origins that look like a listed one are not: not by WebSocket, nor by GET or POST /sse, whatever token comes along.
func TestForeignOrigins(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels, "ROWFEED_SERVER_ALLOWED_ORIGINS=https://erp.nalar.example,https://*.apps.example")
	good := rig.User(1, clerk)
	for origin, allowed := range map[string]bool{
		"https://erp.nalar.example":                      true,
		"https://ERP.NALAR.example:443":                  true,
		"https://a.apps.example":                         true,
		"https://xn--bcher-kva.apps.example":             true,
		"http://erp.nalar.example":                       false,
		"https://erp.nalar.example:8443":                 false,
		"https://erp.nalar.example.evil.example":         false,
		"https://evil-erp.nalar.example":                 false,
		"https://erp.nalar.example@evil.example":         false,
		"https://erp.nalar.example.":                     false,
		"https://a.b.apps.example":                       false,
		"https://apps.example":                           false,
		"https://bücher.apps.example":                    false,
		"https://evil.example/https://a.apps.example":    false,
		"https://erp.nalar.example https://evil.example": false,
		"null": false,
	} {
		for _, how := range []string{"Authorization: Bearer " + good, "Cookie: access_token=" + good} {
			_, code := handshake(t, r, "/ws", "Origin: "+origin, how)
			if want := map[bool]int{true: 0, false: 4503}[allowed]; code != want {
				t.Errorf("WebSocket from %s: closed with %d, want %d", origin, code, want)
			}
			name, value, _ := strings.Cut(how, ": ")
			for method, path := range map[string]string{"GET": "/sse/stock", "POST": "/sse"} {
				s, _ := r.TryStream(t, method, path, http.Header{"Origin": {origin}, name: {value}}, sseBody)
				if want := map[bool]int{true: 200, false: 403}[allowed]; s.Response.StatusCode != want {
					t.Errorf("%s %s from %s: %s, want %d", method, path, origin, s.Response.Status, want)
				}
				s.Drop()
			}
		}
	}
}

// A page elsewhere can have the browser connect with the user's cookie. What the browser says of that page, in Origin
// or in Sec-Fetch-Site, keeps the cookie from counting.
func TestCrossSiteHijack(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	cookie := "Cookie: access_token=" + rig.User(1, clerk)
	for _, tt := range []struct {
		headers []string
		code    int
		status  int
	}{
		{[]string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 4503, 403},
		{[]string{"Origin: https://evil.example", "Sec-Fetch-Site: same-origin"}, 4503, 403},
		{[]string{"Origin: null", "Sec-Fetch-Site: cross-site"}, 4503, 403},
		{[]string{"Sec-Fetch-Site: cross-site"}, 4501, 401},
		{[]string{"Sec-Fetch-Site: same-site"}, 4501, 401},
		{[]string{"Sec-Fetch-Site: none"}, 4501, 401},
		{nil, 4501, 401},
		{[]string{"Sec-Fetch-Site: same-origin"}, 0, 200},
		{[]string{"Origin: https://erp.example", "Sec-Fetch-Site: cross-site"}, 0, 200},
	} {
		path := "/ws/stock" // where the cookie is all there is: /ws waits for a first frame
		if tt.code == 0 {
			path = "/ws"
		}
		if _, code := handshake(t, r, path, append(tt.headers, cookie)...); code != tt.code {
			t.Errorf("%q: closed with %d, want %d", tt.headers, code, tt.code)
		}
		h := http.Header{}
		for _, line := range append(tt.headers, cookie) {
			name, value, _ := strings.Cut(line, ": ")
			h.Set(name, value)
		}
		s, _ := r.TryStream(t, http.MethodGet, "/sse/stock", h, "")
		if s.Response.StatusCode != tt.status {
			t.Errorf("%q: %s, want %d", tt.headers, s.Response.Status, tt.status)
		}
		s.Drop()
	}
}

// Who shows two tokens, or an empty one beside a cookie, is nobody: not one of the two, and not the cookie's user.
func TestTwoTokens(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	one, two := rig.User(1, clerk), rig.User(2, clerk)
	for _, headers := range [][]string{
		{"Authorization: Bearer ", "Cookie: access_token=" + one},
		{"Authorization: Bearer " + one, "Authorization: Bearer " + two},
		{"Sec-WebSocket-Protocol: bearer., rowfeed.plain", "Cookie: access_token=" + one},
		{"Cookie: access_token=" + one + "; access_token=" + two},
	} {
		headers = append(headers, "Sec-Fetch-Site: same-origin")
		if _, code := handshake(t, r, "/ws/stock", headers...); code != 4501 {
			t.Errorf("%.40q: closed with %d, want 4501", headers, code)
		}
		h := http.Header{}
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			h.Add(name, value)
		}
		if h.Get("Sec-WebSocket-Protocol") != "" {
			continue
		}
		s, _ := r.TryStream(t, http.MethodGet, "/sse/stock", h, "")
		if s.Response.StatusCode != 401 {
			t.Errorf("%.40q: %s, want 401", headers, s.Response.Status)
		}
		s.Drop()
	}
	full := r.Dial(t, "/ws", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Cookie": {"access_token=" + one + "; access_token=" + two}}, "rowfeed.v1")
	if f := full.Ask(`{"type":"auth","token":%q}`, two); f["user"] != "2" {
		t.Errorf("two cookies, then a frame: %v", f)
	}
}

// A name in the path that would end a header line, or begin a script, comes back as text or not at all.
func TestResponseSplitting(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	token := "Authorization: Bearer " + rig.User(1, clerk)
	for _, name := range []string{
		"x%0d%0aSet-Cookie:%20a=b", "x%0aSet-Cookie:%20a=b", "%e2%80%a8Set-Cookie:%20a=b", "%3Cscript%3Ealert(1)%3C/script%3E",
		"stock?cursor=x%0d%0aSet-Cookie:%20a=b", "stock/levels/1%0d%0aSet-Cookie:%20a=b", "%00", "..%2f..%2fadmin",
	} {
		for _, root := range []string{"/ws/", "/sse/", "/", "//evil.example/.."} {
			res, _ := upgrade(t, r, root+name, token, "Origin: https://erp.example")
			if res.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s%s: set a cookie", root, name)
			}
			for field, values := range res.Header {
				if text := strings.Join(values, ""); strings.ContainsAny(text, "\r\n<>") {
					t.Errorf("%s%s: header %s is %q", root, name, field, text)
				}
			}
			if to := res.Header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
				t.Errorf("%s%s: sent to %q", root, name, to)
			}
			if kind := res.Header.Get("Content-Type"); strings.HasPrefix(kind, "text/html") && res.StatusCode/100 != 3 {
				t.Errorf("%s%s: HTML", root, name)
			}
		}
	}
}

// Headers that are too long are refused before any of it is looked at.
func TestOversizedHandshake(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	token := "Authorization: Bearer " + rig.User(1, clerk)
	if _, code := handshake(t, r, "/ws", token, "Cookie: a="+strings.Repeat("x", 12<<10)); code != 0 {
		t.Errorf("cookies of 12 KiB: closed with %d", code)
	}
	for name, headers := range map[string][]string{
		"cookie": {token, "Cookie: a=" + strings.Repeat("x", 24<<10)},
		"many":   {token, strings.TrimSuffix(strings.Repeat("X: y\r\n", 4<<10), "\r\n")},
		"token":  {"Authorization: Bearer " + strings.Repeat("x", 24<<10)},
	} {
		for _, path := range []string{"/ws", "/sse/stock", "/ws/stock"} {
			if res, _ := handshake(t, r, path, headers...); res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("%s at %s: HTTP %d, want 431", name, path, res.StatusCode)
			}
		}
	}
	if res, code := handshake(t, r, "/ws", "Authorization: Bearer "+strings.Repeat("x.", 5<<10)); res.StatusCode != 101 || code != 4501 {
		t.Errorf("a token of 10 KiB: HTTP %d, closed with %d", res.StatusCode, code)
	}
}

// Whoever sends a handshake byte by byte, or half of TLS's, is given auth.deadline and no more, and holds up nobody.
func TestSlowHandshake(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	plain := rig.New(t, stock, channels, "ROWFEED_AUTH_DEADLINE=1s")
	secure := rig.New(t, stock, channels, "ROWFEED_AUTH_DEADLINE=1s", "ROWFEED_SERVER_TLS_CERT_FILE="+cert, "ROWFEED_SERVER_TLS_KEY_FILE="+key)
	const request = "GET /ws HTTP/1.1\r\nHost: x\r\nX-Long: "
	for name, open := range map[string]func(t *testing.T) net.Conn{
		"plain": func(*testing.T) net.Conn { return wstest.Dial(t, plain.Addr) },
		"after TLS": func(t *testing.T) net.Conn {
			nc := tls.Client(wstest.Dial(t, secure.Addr), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
			if err := nc.Handshake(); err != nil {
				t.Fatal(err)
			}
			return nc
		},
		"half a ClientHello": func(t *testing.T) net.Conn {
			nc := wstest.Dial(t, secure.Addr)
			_, err := nc.Write([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3})
			if err != nil {
				t.Fatal(err)
			}
			return nc
		},
		"nothing": func(*testing.T) net.Conn { return wstest.Dial(t, plain.Addr) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc := open(t)
			start := time.Now()
			ended := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, nc)
				ended <- err
			}()
			drops := request
			if name == "nothing" {
				drops = ""
			}
			for i := 0; ; i++ {
				select {
				case err := <-ended:
					if errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("still there after %v", time.Since(start))
					}
					return
				case <-time.After(20 * time.Millisecond):
				}
				if i < len(drops) {
					nc.Write([]byte{drops[i]})
				} else if drops != "" {
					nc.Write([]byte("x"))
				}
			}
		})
	}
	t.Run("others", func(t *testing.T) {
		t.Parallel()
		plain.Full(t, rig.User(1, clerk))
	})
}

// permessage-deflate is not negotiated, whoever offers it, and a compressed frame is a protocol error: there is nothing
// that a few bytes could blow up.
func TestCompressedFrames(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	res, code := handshake(t, r, "/ws", "Authorization: Bearer "+rig.User(1, clerk),
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame")
	if got := res.Header.Get("Sec-WebSocket-Extensions"); got != "" || code != 0 {
		t.Errorf("negotiated %q, closed with %d", got, code)
	}
	c := rawDial(t, r.Addr, "/ws", rig.User(1, clerk))
	c.want("welcome")
	c.send(frame(0xc1, "\xaa\x56\x2a\xa9\x2c\x48\x55\xb2\x52\x2a\xc8\xcc\x4b\x57\xaa\x05\x00")) // a deflated ping
	if got := c.code(); got != 1002 {
		t.Errorf("a compressed frame: closed with %d, want 1002", got)
	}
}
