package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// DefaultFile is read where no other file is named.
const DefaultFile = "rowfeed.yaml"

// Options say where the configuration comes from.
type Options struct {
	Path    string   // the file; empty: the variable ROWFEED_CONFIG, else DefaultFile if it is there
	Environ []string // the environment as os.Environ gives it; nil: os.Environ()
}

// Load reads the configuration: the environment before the file before the defaults.
//
// Each key has a variable: server.listen is ROWFEED_SERVER_LISTEN. Lists of texts are separated by commas; maps and
// other lists are YAML or JSON in one variable that replaces what the file has (ROWFEED_CHANNELS,
// ROWFEED_AUTH_JWT_CLAIMS), and what is in them can be reached too: ROWFEED_CHANNELS_STOCK_CLASS,
// ROWFEED_CHANNELS_STOCK_RULES, ROWFEED_CHANNELS_STOCK_RULES_0_IF. A name there is first looked for among those that
// the file has, in any case and with - as _; else it is taken in lower case. A variable that is set counts, be it
// empty.
//
// The database is the first of ROWFEED_DATABASE_URL, the file's database.url, DATABASE_URL and the PG* variables of
// libpq: what is meant for rowfeed alone comes before what the whole machine shares. The PG* variables also fill in
// what a URL leaves out, such as PGPASSWORD.
//
// Where the file or a variable has keys that are not the configuration's, or values of the wrong kind, the error is
// Problems, and the Config is there without them, so that Validate can add what it finds. Where nothing could be read
// the Config is nil.
func Load(o Options) (*Config, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	env := newEnviron(o.Environ)
	data, err := readFile(o.Path, env)
	if err != nil {
		return nil, err
	}
	c := &Config{origin: origin{lines: map[string]int{}, variables: map[string]string{}}}
	r := &reader{lines: c.origin.lines}
	tree, _ := r.parse(data, reflect.TypeFor[Config](), "").(map[string]any)
	if tree == nil && len(r.problems) > 0 {
		return nil, r.problems
	}
	v := viper.New()
	for key, value := range defaults {
		v.SetDefault(key, value)
	}
	if err := v.MergeConfigMap(box(tree, reflect.TypeFor[Config]())); err != nil {
		return nil, fmt.Errorf("merge configuration: %w", err)
	}
	problems := append(r.problems, env.overlay(v, &c.origin)...)
	if err := v.UnmarshalExact(c, viper.DecodeHook(mapstructure.DecodeHookFuncType(decode))); err != nil {
		return nil, fmt.Errorf("decode configuration: %w", err)
	}
	c.complete(env)
	if len(problems) == 0 {
		return c, nil
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Key, prefix) {
			continue // a variable that is no key stands beside none
		}
		c.origin.broken = append(c.origin.broken, p.Key)
	}
	return c, c.Locate(problems)
}

// readFile reads the configuration file; none is an empty one, unless it was asked for.
func readFile(path string, env *environ) ([]byte, error) {
	named := "--config"
	if path == "" {
		path, named = env.values["ROWFEED_CONFIG"], "ROWFEED_CONFIG"
	}
	if path == "" {
		path, named = DefaultFile, ""
	}
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	switch {
	case err == nil:
		return data, nil
	case named == "" && errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case named == "":
		return nil, fmt.Errorf("read configuration: %w: make it readable", err)
	}
	return nil, fmt.Errorf("read configuration: %w: name a file that can be read with %s", err, named)
}

// defaults has every single value there is outside of lists and maps.
var defaults = map[string]any{
	"database.url":                       "",
	"database.admin_url":                 "",
	"database.schema":                    "rowfeed",
	"database.retention":                 24 * time.Hour,
	"server.listen":                      ":8080",
	"server.admin_listen":                "127.0.0.1:9090",
	"server.max_connections":             50000,
	"server.max_connections_per_user":    50,
	"server.max_connections_per_address": 1000,
	"server.max_subscriptions":           200,
	"server.frames_per_second":           50,
	"server.drain":                       30 * time.Second,
	"server.tls.cert_file":               "",
	"server.tls.key_file":                "",
	"auth.deadline":                      10 * time.Second,
	"auth.jwt.secret":                    "",
	"auth.jwt.secret_file":               "",
	"auth.jwt.public_key_file":           "",
	"auth.jwt.jwks_url":                  "",
	"auth.jwt.issuer":                    "",
	"auth.jwt.audience":                  "",
	"auth.jwt.leeway":                    30 * time.Second,
	"auth.jwt.cookie":                    "",
	"auth.jwt.query_parameter":           "",
	"auth.user":                          "{sub}", // RFC 7519, section 4.1.2
	"auth.tenant":                        "",
	"auth.user_query":                    "",
	"auth.grants_query":                  "",
	"log.level":                          "info",
	"log.format":                         "json",
}

// complete fills in what list items leave out, and where the database is.
func (c *Config) complete(env *environ) {
	for name, channel := range c.Channels {
		if channel.Wake == "" {
			channel.Wake = "auto"
		}
		c.Channels[name] = channel
	}
	for i := range c.Leases {
		c.Leases[i].MaxPerUser = or(c.Leases[i].MaxPerUser, 20)
		c.Leases[i].MaxTTL = or(c.Leases[i].MaxTTL, 5*time.Minute)
	}
	for name, metric := range c.Metrics {
		metric.MinInterval = or(metric.MinInterval, time.Second)
		metric.MaxInterval = or(metric.MaxInterval, time.Minute)
		c.Metrics[name] = metric
	}
	if c.Database.URL != "" {
		return
	}
	if url := env.values["DATABASE_URL"]; url != "" {
		c.Database.URL = url
		c.origin.variables["database.url"] = "DATABASE_URL"
		return
	}
	for _, name := range []string{"PGHOST", "PGDATABASE", "PGSERVICE", "PGUSER", "PGPORT"} {
		c.origin.postgres = c.origin.postgres || env.values[name] != ""
	}
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// verbatim keeps a list or map whole: viper puts the keys of every map that it sees into lower case.
type verbatim struct{ value any }

// box makes the lists and maps of a file verbatim; what is left to viper are the keys of the types.
func box(tree map[string]any, t reflect.Type) map[string]any {
	boxed := make(map[string]any, len(tree))
	for key, value := range tree {
		element := fields(t)[key]
		switch section, _ := value.(map[string]any); {
		case element.Kind() == reflect.Struct:
			boxed[key] = box(section, element)
		case scalar(element):
			boxed[key] = value
		default:
			boxed[key] = verbatim{value}
		}
	}
	return boxed
}

// scalar reports whether a t is a single value.
func scalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Pointer:
		return false
	default:
		return true
	}
}

// decode is the hook that makes values of what the file and the environment have: texts that reader has checked.
func decode(_, to reflect.Type, data any) (any, error) {
	if whole, ok := data.(verbatim); ok {
		return whole.value, nil
	}
	text, ok := data.(string)
	switch {
	case !ok:
		return data, nil
	case to == reflect.TypeFor[time.Duration]():
		return time.ParseDuration(text)
	case to.Kind() == reflect.Int:
		return strconv.Atoi(text)
	case to.Kind() == reflect.Bool:
		return strconv.ParseBool(text)
	default:
		return data, nil
	}
}
