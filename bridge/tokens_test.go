package bridge_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"nalar.internal/rowfeed/test/rig"
)

const (
	ordersTable = `create table orders (id int primary key, owner int, company int); insert into orders values (1, 42, 7), (2, 43, 7)`

	ordersChannels = `
  orders:
    class: lossless
    rules:
      - {table: orders, event: order_changed, resource: orders, columns: [id, owner, company], tenant: "{company}",
         audience: ["user:{owner}", "partner:{owner}"]}`

	partnerSecret = "the partner's own secret, long enough for HS256"
	partnerSetup  = `ROWFEED_AUTH_ISSUERS=[{name: partner, algorithms: [HS256], secret: "` + partnerSecret + `",
		user: "{sub}", tenant: "{org}", grants: ["partner:{sub}"]}]`
)

// orders is a bridge with tenants and two issuers.
func orders(t *testing.T, more ...string) *rig.Rig {
	t.Helper()
	return rig.New(t, ordersTable, ordersChannels, append([]string{
		"ROWFEED_AUTH_JWT_ISSUER=erp", "ROWFEED_AUTH_TENANT={company}", partnerSetup,
	}, more...)...)
}

// erpToken is a token of auth.jwt's for user 42 of company 7, but for what is given.
func erpToken(more map[string]any) string {
	claims := map[string]any{"iss": "erp", "user_id": 42, "company": 7}
	maps.Copy(claims, more)
	return rig.Token(claims)
}

// partnerToken is a token of the partner's for a user of theirs.
func partnerToken(t *testing.T, user string) string {
	t.Helper()
	claims := jwt.MapClaims{"iss": "partner", "sub": user, "org": "7", "exp": time.Now().Add(time.Hour).Unix()}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(partnerSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRenewalKeepsTheUser: an open session takes a fresh token of its own user alone, and goes on as who it is.
func TestRenewalKeepsTheUser(t *testing.T) {
	t.Parallel()
	r := orders(t)
	c := r.Full(t, erpToken(nil))
	if f := c.Ask(`{"type":"subscribe","ref":"1","channel":"orders"}`); f["type"] != "subscribed" {
		t.Fatalf("want subscribed, got %v", f)
	}
	for name, test := range map[string]struct{ token, says string }{
		"another user":     {erpToken(map[string]any{"user_id": 43}), "can't change its user"},
		"another tenant":   {erpToken(map[string]any{"company": 8}), "can't change its user"},
		"another issuer":   {partnerToken(t, "42"), "can't change its user"},
		"unknown issuer":   {erpToken(map[string]any{"iss": "nobody"}), "issuer not accepted"},
		"expired":          {erpToken(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), "token expired"},
		"no token":         {"e30.e30.", "token refused"},
		"claim of no sort": {erpToken(map[string]any{"roles": map[string]any{"a": 1}}), "grants claim not usable"},
	} {
		f := c.Ask(`{"type":"auth","ref":"a","token":"%s"}`, test.token)
		if says, _ := f["message"].(string); f["type"] != "error" || f["code"] != "forbidden" || !strings.Contains(says, test.says) {
			t.Errorf("%s: want an error that says %q, got %v", name, test.says, f)
		}
	}
	if f := c.Ask(`{"type":"auth","token":"%s"}`, erpToken(nil)); f["type"] != "welcome" || f["user"] != "42" {
		t.Errorf("want welcome, got %v", f)
	}
	r.Exec(t, `delete from orders`)
	if f := c.Next(); f["type"] != "order_changed" || f["resource_id"] == nil || f["op"] != "delete" {
		t.Errorf("want what 42 sees, got %v", f)
	}
}

// TestNobodyIsAnonymous: without a good token there is no session that hears anything, on any endpoint.
func TestNobodyIsAnonymous(t *testing.T) {
	t.Parallel()
	r := orders(t, "ROWFEED_AUTH_DEADLINE=1s")
	expired := erpToken(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})
	for name, header := range map[string]http.Header{
		"no token":          {},
		"expired":           {"Authorization": {"Bearer " + expired}},
		"expired cookie":    {"Cookie": {"access_token=" + expired}, "Origin": {"https://erp.example"}},
		"no user":           {"Authorization": {"Bearer " + erpToken(map[string]any{"user_id": nil})}},
		"no tenant":         {"Authorization": {"Bearer " + erpToken(map[string]any{"company": nil})}},
		"unknown issuer":    {"Authorization": {"Bearer " + erpToken(map[string]any{"iss": "nobody"})}},
		"the partner's ERP": {"Authorization": {"Bearer " + erpToken(map[string]any{"iss": "partner"})}},
	} {
		if ce := r.Dial(t, "/ws/orders", header).Closed(); ce.Code != 4501 {
			t.Errorf("%s: plain endpoint closed with %v, want 4501", name, ce)
		}
		if status := getStatus(t, r, "/sse/orders", header); status != http.StatusUnauthorized {
			t.Errorf("%s: stream answered with %d, want 401", name, status)
		}
		full := r.Dial(t, "/ws", header, "rowfeed.v1")
		full.Say(`{"type":"subscribe","ref":"1","channel":"orders"}`)
		if ce := full.Closed(); ce.Code != 4501 && ce.Code != 4500 {
			t.Errorf("%s: full protocol closed with %v, want 4501 or 4500", name, ce)
		}
	}
	if said := r.Metrics(t); !strings.Contains(said, `rowfeed_auth_refusals_total{reason="token expired"}`) ||
		!strings.Contains(said, `rowfeed_auth_refusals_total{reason="issuer not accepted"}`) {
		t.Error("refusals are not counted")
	}
}

// getStatus returns the status that a GET is answered with.
func getStatus(t *testing.T, r *rig.Rig, path string, header http.Header) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Addr+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header, req.Close = header.Clone(), true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// TestIssuersUsers: two issuers' user 42 are two people: what one of them sees the other does not, and each has a
// connection limit of their own.
func TestIssuersUsers(t *testing.T) {
	t.Parallel()
	r := rig.New(t, ordersTable, strings.Replace(ordersChannels, `"user:{owner}", "partner:{owner}"`, `"user:{owner}"`, 1),
		"ROWFEED_AUTH_JWT_ISSUER=erp", "ROWFEED_AUTH_TENANT={company}", partnerSetup, "ROWFEED_SERVER_MAX_CONNECTIONS_PER_USER=1")
	ours, theirs := r.Full(t, erpToken(nil)), r.Full(t, partnerToken(t, "42"))
	for _, c := range []*rig.Client{ours, theirs} {
		if f := c.Ask(`{"type":"subscribe","ref":"1","channel":"orders"}`); f["type"] != "subscribed" {
			t.Fatalf("want subscribed, got %v", f)
		}
	}
	r.Exec(t, `delete from orders`)
	if f := ours.Next(); f["type"] != "order_changed" {
		t.Errorf("want the event, got %v", f)
	}
	if f := theirs.Ask(`{"type":"ping"}`); f["type"] != "pong" {
		t.Errorf("the partner's user 42 is sent what is ours to see: %v", f)
	}
	if ce := r.Dial(t, "/ws/orders", http.Header{"Authorization": {"Bearer " + partnerToken(t, "42")}}).Closed(); ce.Code != 4504 {
		t.Errorf("want 4504, got %v", ce)
	}
}
