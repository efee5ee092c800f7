package config

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// leaf is one key of the configuration, found by reflection: its variable, a value for it, and what then is in Config.
type leaf struct {
	variable, text string
	get            func(c reflect.Value) reflect.Value
	want           any
}

// everyLeaf finds all keys of t; lists have one item, maps an entry `stock`.
func everyLeaf(t reflect.Type, name string, get func(reflect.Value) reflect.Value) []leaf {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return []leaf{{name, "47s", get, 47 * time.Second}}
	case t.Kind() == reflect.String:
		return []leaf{{name, "A, b: {c}", get, "A, b: {c}"}}
	case t.Kind() == reflect.Int:
		return []leaf{{name, "047", get, 47}}
	case t.Kind() == reflect.Bool:
		return []leaf{{name, "true", get, true}}
	case t.Kind() == reflect.Pointer:
		return everyLeaf(t.Elem(), name, func(v reflect.Value) reflect.Value { return get(v).Elem() })
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return []leaf{{name, "A:{b}, c", get, []string{"A:{b}", "c"}}, {name, `["A, b"]`, get, []string{"A, b"}}}
	case t.Kind() == reflect.Slice:
		return everyLeaf(t.Elem(), name+"_0", func(v reflect.Value) reflect.Value { return get(v).Index(0) })
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.String:
		entry := func(v reflect.Value) reflect.Value { return get(v).MapIndex(reflect.ValueOf("sku_id")) }
		return []leaf{{name, `{"skuId": x, B: 1.0}`, get, map[string]string{"skuId": "x", "B": "1.0"}},
			{name + "_SKU_ID", "x", entry, "x"}}
	case t.Kind() == reflect.Map:
		entry := func(v reflect.Value) reflect.Value { return get(v).MapIndex(reflect.ValueOf("stock")) }
		return everyLeaf(t.Elem(), name+"_STOCK", entry)
	}
	var found []leaf
	for f := range t.Fields() {
		if key := f.Tag.Get("mapstructure"); key != "" {
			field := func(v reflect.Value) reflect.Value { return get(v).FieldByIndex(f.Index) }
			found = append(found, everyLeaf(f.Type, name+"_"+strings.ToUpper(key), field)...)
		}
	}
	return found
}

func TestEveryKeyByEnvironment(t *testing.T) {
	t.Parallel()
	leaves := everyLeaf(reflect.TypeFor[Config](), "ROWFEED", func(v reflect.Value) reflect.Value { return v })
	if len(leaves) < 80 {
		t.Fatalf("only %d keys found", len(leaves))
	}
	for _, file := range []string{"", "testdata/good/example.yaml"} {
		for _, leaf := range leaves {
			o := Options{Path: file, Environ: []string{leaf.variable + "=" + leaf.text}}
			if strings.HasSuffix(leaf.variable, "_CLAIMS_SKU_ID") && file != "" {
				continue // stands beside what the file has
			}
			c, err := Load(o)
			if err != nil {
				t.Errorf("%s with file %q: %v", leaf.variable, file, err)
				continue
			}
			if got := leaf.get(reflect.ValueOf(*c)).Interface(); !reflect.DeepEqual(got, leaf.want) {
				t.Errorf("%s with file %q: got %v, want %v", leaf.variable, file, got, leaf.want)
			}
		}
	}
}

func TestEveryDefault(t *testing.T) {
	t.Parallel()
	for key, element := range leaves(reflect.TypeFor[Config](), "") {
		if _, ok := defaults[key]; ok != scalar(element) {
			t.Errorf("%s: has a default: %t", key, ok)
		}
	}
	if known := len(leaves(reflect.TypeFor[Config](), "")); len(defaults) >= known {
		t.Errorf("%d defaults for %d keys", len(defaults), known)
	}
}

func TestEnvironmentOfLists(t *testing.T) {
	t.Parallel()
	const file = "testdata/good/anchors.yaml"
	c, err := Load(Options{Path: file, Environ: []string{
		"ROWFEED_CHANNELS_PURCHASE_ORDERS_RULES_1_IF=row.id > 1",
		"ROWFEED_CHANNELS_PURCHASE_ORDERS_RULES_2={table: a, event: b}",
		"ROWFEED_CHANNELS_PURCHASE_ORDERS_CLASS=latest",
		"ROWFEED_CHANNELS_NEW_ONE_RULES=[{table: Big, data: {skuId: a}}]",
		"ROWFEED_AUTH_JWT_CLAIMS_VERSION=2.0",
		"ROWFEED_SERVER={listen: ':1', tls: {cert_file: C}}",
		"ROWFEED_SERVER_LISTEN=:2",
		"ROWFEED_AUTH_GRANTS=",
	}})
	if err != nil {
		t.Fatal(err)
	}
	orders := c.Channels["purchase-orders"]
	if len(orders.Rules) != 3 || orders.Rules[1].If != "row.id > 1" || orders.Rules[0].If != "" ||
		orders.Rules[1].Event != "order_deleted" || orders.Rules[2].Table != "a" || orders.Class != Latest {
		t.Errorf("channel of the file = %+v", orders)
	}
	if rules := c.Channels["new_one"].Rules; len(rules) != 1 || rules[0].Data["skuId"] != "a" {
		t.Errorf("new channel = %+v", c.Channels["new_one"])
	}
	if c.Auth.JWT.Claims["Version"] != "2.0" || c.Auth.JWT.Claims["realm"] != "nalar" || len(c.Auth.Grants) != 0 {
		t.Errorf("claims = %v, grants = %v", c.Auth.JWT.Claims, c.Auth.Grants)
	}
	if c.Server.Listen != ":2" || c.Server.TLS.CertFile != "C" || len(c.Server.AllowedOrigins) != 3 {
		t.Errorf("server = %+v", c.Server)
	}
}

func TestBadVariables(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ variable, want string }{
		{"ROWFEED_SERVER_LISTN=:1", "ROWFEED_SERVER_LISTN: is not a key of the configuration: " +
			"did you mean ROWFEED_SERVER_LISTEN?"},
		{"ROWFEED_SEVER_LISTEN=:1", "ROWFEED_SEVER_LISTEN: is not a key of the configuration: " +
			"did you mean ROWFEED_SERVER_LISTEN?"},
		{"ROWFEED_SERVER_DRAIN=soon", `server.drain (ROWFEED_SERVER_DRAIN): "soon" is not a duration: ` +
			"write a number with its unit, such as 500ms, 30s, 5m or 24h"},
		{"ROWFEED_SERVER_LISTEN=nowhere", `server.listen (ROWFEED_SERVER_LISTEN): "nowhere" is not an address to ` +
			`listen on: write host:port, such as "127.0.0.1:8080" or ":8080"`},
		{"ROWFEED_CHANNELS_ORDERS_CLAS=latest", "channels.orders_clas (ROWFEED_CHANNELS_ORDERS_CLAS): is a single value, " +
			"not a map of keys: correct the variable's name, or write the whole entry as YAML"},
		{"ROWFEED_CHANNELS_ORDERS_RULES_2_IF=true", "channels.orders.rules[2].if (ROWFEED_CHANNELS_ORDERS_RULES_2_IF): " +
			"there is no item 1 before it: count from 0 without gaps"},
		{"ROWFEED_CHANNELS_ORDERS_RULES_0={tabel: x}", "channels.orders.rules[0].tabel " +
			"(ROWFEED_CHANNELS_ORDERS_RULES_0): is not a key of the configuration: did you mean table?"},
		{"ROWFEED_AUTH_JWT_CLAIMS={a: b", "auth.jwt.claims (ROWFEED_AUTH_JWT_CLAIMS): is not YAML: " +
			"did not find expected ',' or '}': correct the text; what is after a colon may need quotes"},
		{"ROWFEED_SERVICE_HOST=10.0.0.1", ""},
		{"ROWFEED_SERVER_SERVICE_PORT_HTTP=80", ""},
		{"ROWFEED_PORT=tcp://10.0.0.1:80", ""},
		{"ROWFEED_SERVER_PORT_80_TCP_ADDR=10.0.0.1", ""},
		{"ROWFEED_TOKEN=x", ""},
		{"ROWFEED_SOMETHING_ELSE=x", ""},
	} {
		_, found := problems(t, "testdata/good/minimal.yaml", test.variable)
		if got := found.Error(); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.variable, got, test.want)
		}
	}
}

func TestLocate(t *testing.T) {
	t.Parallel()
	c, _ := problems(t, "testdata/good/example.yaml", "ROWFEED_CHANNELS_STOCK_RULES_1_IF=x")
	for i, test := range []Problem{
		{Key: "channels.stock.rules[0].if", Line: 64},
		{Key: "channels.stock.rules[0].columns[3]", Line: 67},
		{Key: "channels.stock.rules[1].if", From: "ROWFEED_CHANNELS_STOCK_RULES_1_IF"},
		{Key: "channels.none", Line: 41},
		{Key: "nothing"},
	} {
		if got := c.Locate([]Problem{{Key: test.Key}}); got[0] != test {
			t.Errorf("%s: got %s", strconv.Itoa(i), got)
		}
	}
}

func TestUnder(t *testing.T) {
	t.Parallel()
	all := Problems{{Key: "auth.jwt.secret"}, {Key: "authority"}, {Key: "channels"}, {Key: "leases[0].grants"}}
	if got := all.Under("auth", "leases"); !reflect.DeepEqual(got, Problems{all[0], all[3]}) {
		t.Errorf("got %v", got)
	}
	if got := all.Under(); len(got) != len(all) {
		t.Errorf("got %v", got)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"lsiten": "listen", "listen": "listen", "xyz": "", "drian": "drain"} {
		known := func(yield func(string) bool) { _ = yield("listen") && yield("drain") }
		if got := nearest(name, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
