package session_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/rig"
)

// A stream by path carries the frames of the plain WebSocket endpoint, byte for byte, as default events.
func TestEventsByPath(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	ws := r.Plain(t, "/ws/stock", rig.User(1, clerk))
	all := r.Events(t, "/sse/stock", rig.User(2, clerk))
	keyed := r.Events(t, "/sse/stock/levels/7/", rig.User(3, clerk))
	stranger := r.Events(t, "/sse/stock/levels", rig.User(4, "warehouse-2"))
	h := all.Response.Header
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Origin",
		"X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if !all.Response.Close || h.Get("Date") == "" {
		t.Errorf("want Connection: close and a Date, got %v", h)
	}
	r.Exec(t, `update stock set quantity = 99`) // 17 rows of warehouse 1 in one sweep
	for range 17 {
		raw, e := ws.Raw(), all.Next()
		if e.Event != "message" || e.Data != string(raw) {
			t.Errorf("want %s, got %+v", raw, e)
		}
	}
	r.Exec(t, `update stock set quantity = 98 where id = 7`)
	for range 2 {
		if f := keyed.Frame(); fmt.Sprint(f["resource_id"]) != "7" {
			t.Errorf("by key: got %v", f)
		}
	}
	r.Exec(t, `update stock set warehouse = 2 where id = 7`)
	if f := keyed.Frame(); f["op"] != "leave" || f["data"] != nil {
		t.Errorf("want leave, got %v", f)
	}
	for f := stranger.Frame(); f["op"] != "enter"; f = stranger.Frame() {
		if id, _ := f["resource_id"].(json.Number).Int64(); id%3 != 2 {
			t.Errorf("a row of another warehouse: %v", f)
		}
	}
}

// POST carries its subscriptions out as subscribe frames would be, with their answers in the stream.
func TestEventsByPost(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	s := r.Subscribe(t, rig.User(1, clerk), `
		{"ref":"a","channel":"stock","resource":"levels","where":{"sku_id":[4,5]}},
		{"ref":"b","channel":"stock","resource":"levels","key":7},
		{"ref":"c","channel":"salaries"},
		{"ref":"d","channel":"stock","resource":"levels","where":{"secret":1}},
		{"ref":"a","channel":"stock"},
		{"ref":"`+strings.Repeat("x", 65)+`","channel":"stock"}`)
	for _, want := range []string{"subscribed a", "subscribed b", "unknown_channel c", "unknown_column d", "bad_frame a", "too_large"} {
		f := s.Frame()
		got, ref := f["type"], f["ref"]
		if got == "error" {
			got = f["code"]
		}
		if ref == nil {
			ref = ""
		}
		if text := strings.TrimSpace(fmt.Sprint(got, " ", ref)); text != want {
			t.Errorf("want %s, got %v", want, f)
		}
	}
	r.Exec(t, `update stock set quantity = 1 where id in (1, 4, 7)`)
	for _, want := range []string{"4", "7"} {
		if f := s.Frame(); fmt.Sprint(f["resource_id"]) != want {
			t.Errorf("want %s, got %v", want, f)
		}
	}
	r.Exec(t, `truncate stock`)
	for _, want := range []string{"a", "b"} {
		if f := s.Frame(); f["type"] != "resync" || f["ref"] != want {
			t.Errorf("want resync of %s, got %v", want, f)
		}
	}
	r.Subscribe(t, rig.User(1, clerk), "") // who has nothing to subscribe to yet is welcomed all the same
}

// What an EventSource will do next is seen to: it forgets a cursor that is worth nothing, and waits where it is asked to.
func TestEventsClose(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels, "ROWFEED_AUTH_JWT_LEEWAY=0s")
	user := rig.User(1, clerk)
	for _, tt := range []struct{ name, path, last, id string }{
		{"a made-up last event id", "/sse/stock", "nonsense", "live"},
		{"a made-up cursor", "/sse/stock?cursor=nonsense", "", "live"},
		{"the header wins", "/sse/stock?cursor=first", "second", "live"},
	} {
		s := r.Events(t, tt.path, user, "Last-Event-ID", tt.last)
		if code, reason := s.Closed(); code != 4005 || !strings.HasPrefix(reason, "resync: ") {
			t.Errorf("%s: want 4005, got %d %s", tt.name, code, reason)
		}
		if s.ID != tt.id {
			t.Errorf("%s: reconnects with %q", tt.name, s.ID)
		}
	}
	live := r.Events(t, "/sse/stock?cursor=nonsense", user, "Last-Event-ID", "live")
	r.Exec(t, `update stock set quantity = 3 where id = 1`)
	if f := live.Frame(); fmt.Sprint(f["resource_id"]) != "1" {
		t.Errorf("after the cursor was taken back: got %v", f)
	}
	if ms, err := strconv.Atoi(live.Retry); err != nil || ms < 1000 || ms >= 3000 {
		t.Errorf("retry: %q", live.Retry)
	}
	r.Exec(t, `truncate stock`)
	if code, reason := live.Closed(); code != 4005 || reason != "resync: truncated" {
		t.Errorf("want 4005, got %d %s", code, reason)
	}
	brief := rig.Token(map[string]any{"user_id": 1, "roles": []string{clerk}, "exp": time.Now().Add(2 * time.Second).Unix()})
	if code, reason := r.Events(t, "/sse/stock", brief).Closed(); code != 4004 || reason != "auth_expired" {
		t.Errorf("want 4004, got %d %s", code, reason)
	}
	soon := rig.Token(map[string]any{"user_id": 1, "roles": []string{clerk}, "exp": time.Now().Add(61 * time.Second).Unix()})
	post := r.Subscribe(t, soon, `{"channel":"stock"}`)
	post.Frame()
	if f := post.Frame(); f["type"] != "auth_expiring" {
		t.Errorf("want auth_expiring, got %v", f)
	}
	both := []*rig.Stream{post, r.Events(t, "/sse/stock", user)}
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.Stop() }()
	for _, s := range both {
		code, reason := s.Closed()
		if _, ms, _ := strings.Cut(reason, "retry_ms="); code != 4000 || ms == "" || ms != s.Retry {
			t.Errorf("want 4000 and its time as retry, got %d %q and %s", code, reason, s.Retry)
		}
	}
	<-stopped
}

// What is wrong before the stream is an HTTP error in JSON.
func TestEventsRefused(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels, "ROWFEED_SERVER_MAX_SUBSCRIPTIONS=5")
	good := rig.User(1, clerk)
	expired := rig.Token(map[string]any{"user_id": 1, "exp": time.Now().Add(-time.Hour).Unix()})
	bearer := func(more ...string) http.Header {
		h := http.Header{"Authorization": {"Bearer " + good}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	cookie := http.Header{"Cookie": {"access_token=" + good}}
	const sub = `{"subscriptions":[{"channel":"stock"}]}`
	for _, tt := range []struct {
		name, method, path string
		header             http.Header
		body               string
		status             int
		says               string
	}{
		{"no channel", "GET", "/sse", bearer(), "", 400, "GET /sse/{channel}"},
		{"unknown channel", "GET", "/sse/salaries", bearer(), "", 404, `no channel \"salaries\"`},
		{"unknown resource", "GET", "/sse/stock/salaries", bearer(), "", 404, "no resource"},
		{"too deep", "GET", "/sse/stock/levels/1/2", bearer(), "", 404, "no such endpoint"},
		{"empty part", "GET", "/sse/stock/%2e%2e/1", bearer(), "", 404, "no resource"},
		{"no token", "GET", "/sse/stock", nil, "", 401, "Authorization: Bearer"},
		{"no token, POST", "POST", "/sse", nil, sub, 401, "Authorization: Bearer"},
		{"bad token", "GET", "/sse/stock", http.Header{"Authorization": {"Bearer rubbish"}}, "", 401, "auth_failed"},
		{"expired token", "GET", "/sse/stock", http.Header{"Authorization": {"Bearer " + expired}}, "", 401, "expired"},
		{"cookie without origin", "GET", "/sse/stock", cookie, "", 401, "no_token"},
		{"token in the URL", "GET", "/sse/stock?token=" + good, nil, "", 400, "token in the URL"},
		{"foreign origin", "GET", "/sse/stock", bearer("Origin", "https://evil.example"), "", 403, "origin_not_allowed"},
		{"opaque origin", "POST", "/sse", bearer("Origin", "null"), sub, 403, "origin_not_allowed"},
		{"PUT", "PUT", "/sse", bearer(), sub, 405, "method_not_allowed"},
		{"POST on a path", "POST", "/sse/stock", bearer(), sub, 405, "in the body"},
		{"no body", "POST", "/sse", bearer(), "", 400, "the body is not a JSON object"},
		{"an array", "POST", "/sse", bearer(), "[]", 400, "the body is not a JSON object"},
		{"null", "POST", "/sse", bearer(), "null", 400, "the body is not a JSON object"},
		{"two objects", "POST", "/sse", bearer(), sub + sub, 400, "the body is not a JSON object"},
		{"no subscriptions", "POST", "/sse", bearer(), "{}", 400, "names no subscriptions"},
		{"subscriptions of a wrong type", "POST", "/sse", bearer(), `{"subscriptions":{}}`, 400, "subscriptions of a wrong type"},
		{"no UTF-8", "POST", "/sse", bearer(), "{\"\xff\":1}", 400, "not UTF-8"},
		{"token in the body", "POST", "/sse", bearer(), `{"token":"x","auth":1,"subscriptions":[]}`, 400, `unknown fields: \"auth\", \"token\"`},
		{"unknown field", "POST", "/sse", bearer(), `{"subscriptions":[{"channel":"stock"},{"chanel":"stock"}]}`, 400,
			`subscriptions[1] has unknown fields: \"chanel\"`},
		{"another case", "POST", "/sse", bearer(), `{"Subscriptions":[{"channel":"stock"}]}`, 400, `\"Subscriptions\"`},
		{"ref of a wrong type", "POST", "/sse", bearer(), `{"subscriptions":[{"ref":1,"channel":"stock"}]}`, 400, "subscriptions[0] has ref"},
		{"too large", "POST", "/sse", bearer(), sub + strings.Repeat(" ", 40<<10), 413, "32 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, text := r.TryStream(t, tt.method, tt.path, tt.header, tt.body)
			h := s.Response.Header
			if s.Response.StatusCode != tt.status || !strings.Contains(text, tt.says) {
				t.Fatalf("want %d and %s, got %d %s", tt.status, tt.says, s.Response.StatusCode, text)
			}
			var v struct{ Error, Message string }
			if err := json.Unmarshal([]byte(text), &v); err != nil || v.Error == "" || v.Message == "" {
				t.Errorf("want error and message in JSON, got %s", text)
			}
			if h.Get("Content-Type") != "application/json" || h.Get("Vary") != "Origin" || h.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("headers: %v", h)
			}
			if got := h.Get("WWW-Authenticate"); (tt.status == 401) != strings.HasPrefix(got, "Bearer") {
				t.Errorf("WWW-Authenticate: %q", got)
			}
			if got := h.Get("Allow"); (tt.status == 405) != strings.Contains(got, "POST") {
				t.Errorf("Allow: %q", got)
			}
			if strings.Contains(text, good) || strings.Contains(text, expired) {
				t.Error("the answer holds the token")
			}
		})
	}
	if res, _ := r.TryStream(t, http.MethodHead, "/sse/stock", bearer(), ""); res.Response.StatusCode != 405 {
		t.Errorf("HEAD: want 405, got %s", res.Response.Status)
	}
	many := strings.Repeat(`{"channel":"stock"},`, 6)
	s := r.Subscribe(t, good, strings.TrimSuffix(many, ","))
	for range 5 {
		s.Frame()
	}
	if f := s.Frame(); f["code"] != "too_many_subscriptions" {
		t.Errorf("want too_many_subscriptions, got %v", f)
	}
}

// Pages of listed origins may connect, with cookies; others are told nothing.
func TestEventsCORS(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	good := rig.User(1, clerk)
	const listed, foreign = "https://erp.example", "https://evil.example"
	bearer, cookie := http.Header{"Authorization": {"Bearer " + good}}, http.Header{"Cookie": {"access_token=" + good}}
	for _, tt := range []struct {
		name, method, path, origin string
		header                     http.Header
		status                     int
		cors                       bool
	}{
		{"stream", "GET", "/sse/stock", listed, bearer, 200, true},
		{"stream by cookie", "GET", "/sse/stock", listed, cookie, 200, true},
		{"stream by cookie from nowhere", "GET", "/sse/stock", "", cookie, 401, false},
		{"stream by cookie, foreign", "GET", "/sse/stock", foreign, cookie, 403, false},
		{"the bridge's own page", "GET", "/sse/stock", "", http.Header{"Cookie": cookie["Cookie"], "Sec-Fetch-Site": {"same-origin"}}, 200, false},
		{"401", "GET", "/sse/stock", listed, nil, 401, true},
		{"404", "GET", "/sse/salaries", listed, bearer, 404, true},
		{"400", "POST", "/sse", listed, bearer, 400, true},
		{"403", "POST", "/sse", foreign, bearer, 403, false},
		{"preflight", "OPTIONS", "/sse", listed, nil, 204, true},
		{"preflight of a path", "OPTIONS", "/sse/stock/levels/7", listed, nil, 204, true},
		{"preflight, foreign", "OPTIONS", "/sse", foreign, nil, 403, false},
		{"preflight, opaque", "OPTIONS", "/sse", "null", nil, 403, false},
		{"no preflight", "OPTIONS", "/sse", "", nil, 204, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			for k, v := range tt.header {
				header[k] = v
			}
			if tt.origin != "" {
				header.Set("Origin", tt.origin)
			}
			s, text := r.TryStream(t, tt.method, tt.path, header, "")
			h := s.Response.Header
			if s.Response.StatusCode != tt.status {
				t.Fatalf("want %d, got %d %s", tt.status, s.Response.StatusCode, text)
			}
			origin, credentials := "", ""
			if tt.cors {
				origin, credentials = tt.origin, "true"
			}
			if h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != credentials {
				t.Errorf("headers: %v", h)
			}
			if h.Get("Vary") != "Origin" {
				t.Errorf("Vary: %q", h.Get("Vary"))
			}
			if asked := h.Get("Access-Control-Allow-Headers"); (tt.method == "OPTIONS" && tt.cors) != strings.Contains(asked, "last-event-id") {
				t.Errorf("Access-Control-Allow-Headers: %q", asked)
			}
		})
	}
}
