// Package config holds rowfeed's configuration: its type, its defaults, how it is loaded (file, environment, flags) and
// what is wrong with it. Only load.go knows viper.
package config

import "time"

// Config is the whole configuration. The keys are those of the YAML file; every key can be overridden by the
// environment as ROWFEED_ and the key's path in capitals, joined by underscores: see Load.
type Config struct {
	Database Database           `mapstructure:"database"`
	Server   Server             `mapstructure:"server"`
	Auth     Auth               `mapstructure:"auth"`
	Channels map[string]Channel `mapstructure:"channels"`
	Leases   []Lease            `mapstructure:"leases"`
	Presence Presence           `mapstructure:"presence"`
	Metrics  map[string]Metric  `mapstructure:"metrics"`
	Log      Log                `mapstructure:"log"`

	origin origin // where the values came from, for Locate
}

// Database says where the ERP's PostgreSQL is and where rowfeed keeps its own tables.
type Database struct {
	URL       string        `mapstructure:"url"`       // what serve connects with; several hosts for failover
	AdminURL  string        `mapstructure:"admin_url"` // what the one-off verbs connect with; empty: URL
	Schema    string        `mapstructure:"schema"`    // rowfeed's own schema
	Retention time.Duration `mapstructure:"retention"` // how long changes can be resumed from
}

// Server says where clients connect and how much one of them may use.
type Server struct {
	Listen                   string        `mapstructure:"listen"`
	AdminListen              string        `mapstructure:"admin_listen"` // empty: none
	AllowedOrigins           []string      `mapstructure:"allowed_origins"`
	MaxConnections           int           `mapstructure:"max_connections"`
	MaxConnectionsPerUser    int           `mapstructure:"max_connections_per_user"`
	MaxConnectionsPerAddress int           `mapstructure:"max_connections_per_address"`
	MaxSubscriptions         int           `mapstructure:"max_subscriptions"` // of one session
	FramesPerSecond          int           `mapstructure:"frames_per_second"` // from one session
	TrustedProxies           []string      `mapstructure:"trusted_proxies"`   // CIDR
	Drain                    time.Duration `mapstructure:"drain"`
	TLS                      TLS           `mapstructure:"tls"`
}

// TLS names the certificate and key in PEM; both or neither.
type TLS struct {
	CertFile string `mapstructure:"cert_file"`
	KeyFile  string `mapstructure:"key_file"`
}

// Auth says who is asking and what they may see.
type Auth struct {
	Deadline     time.Duration     `mapstructure:"deadline"` // from connecting to a valid token
	JWT          JWT               `mapstructure:"jwt"`
	Issuers      []Issuer          `mapstructure:"issuers"`
	User         string            `mapstructure:"user"`       // template over the claims
	Tenant       string            `mapstructure:"tenant"`     // template over the claims; empty: none, or from UserQuery
	UserQuery    string            `mapstructure:"user_query"` // $1 is the user, $2 the issuer
	Grants       []string          `mapstructure:"grants"`     // templates over the claims of auth.jwt's tokens
	GrantsQuery  string            `mapstructure:"grants_query"`
	GrantsTables map[string]string `mapstructure:"grants_tables"` // table: user column, or empty for everybody
}

// JWT says how tokens are checked. Exactly one of Secret, SecretFile, PublicKeyFile and JWKSURL is set.
type JWT struct {
	Algorithms     []string          `mapstructure:"algorithms"`
	Secret         string            `mapstructure:"secret"`
	SecretFile     string            `mapstructure:"secret_file"`
	PublicKeyFile  string            `mapstructure:"public_key_file"` // PEM: RSA, ECDSA or Ed25519
	JWKSURL        string            `mapstructure:"jwks_url"`
	Issuer         string            `mapstructure:"issuer"`
	Audience       string            `mapstructure:"audience"`
	Leeway         time.Duration     `mapstructure:"leeway"`
	Cookie         string            `mapstructure:"cookie"`          // empty: none
	QueryParameter string            `mapstructure:"query_parameter"` // empty: no token in URLs
	Claims         map[string]string `mapstructure:"claims"`          // values that must match
}

// Issuer is a further issuer of tokens, with keys of its own. What its tokens grant is its own too: user 42 of another
// issuer is another person, who must not hold user:42 because auth.grants says so of auth.jwt's tokens.
type Issuer struct {
	Name          string            `mapstructure:"name"`
	Algorithms    []string          `mapstructure:"algorithms"`
	Secret        string            `mapstructure:"secret"`
	SecretFile    string            `mapstructure:"secret_file"`
	PublicKeyFile string            `mapstructure:"public_key_file"`
	JWKSURL       string            `mapstructure:"jwks_url"`
	Audience      string            `mapstructure:"audience"`
	Claims        map[string]string `mapstructure:"claims"` // values that must match; those of auth.jwt don't count here
	User          string            `mapstructure:"user"`   // empty: auth.user
	Tenant        string            `mapstructure:"tenant"` // empty: auth.tenant
	Grants        []string          `mapstructure:"grants"` // templates over the claims
}

// The service classes of a channel.
const (
	Lossless = "lossless" // every event, or the connection closes and resumes
	Latest   = "latest"   // under pressure only the newest event of a row
)

// Channel is a named stream with a LISTEN connection of its own.
type Channel struct {
	Class string `mapstructure:"class"`
	Wake  string `mapstructure:"wake"` // auto, notify or sweep
	Rules []Rule `mapstructure:"rules"`
}

// Rule makes events out of the changes of one table.
type Rule struct {
	Table      string            `mapstructure:"table"` // schema.table, or a table of public
	Event      string            `mapstructure:"event"`
	Resource   string            `mapstructure:"resource"`
	Columns    []string          `mapstructure:"columns"`    // what is captured and what templates may read
	Watch      []string          `mapstructure:"watch"`      // empty: all columns
	Operations []string          `mapstructure:"operations"` // insert, update, delete; empty: all
	Data       map[string]string `mapstructure:"data"`       // name for the frontend: column; empty: all columns
	Strings    []string          `mapstructure:"strings"`    // columns sent as JSON strings
	Key        []string          `mapstructure:"key"`        // columns that tell rows apart; empty: the primary key
	If         string            `mapstructure:"if"`         // CEL over row and old
	Tenant     string            `mapstructure:"tenant"`     // template, or any
	Audience   []string          `mapstructure:"audience"`   // templates
	Message    string            `mapstructure:"message"`    // template
	Link       string            `mapstructure:"link"`       // template
	Inbox      *Inbox            `mapstructure:"inbox"`
}

// Inbox keeps an event as a notification for each recipient.
type Inbox struct {
	To    []string `mapstructure:"to"`
	Query string   `mapstructure:"query"`
	If    string   `mapstructure:"if"`
	Kind  string   `mapstructure:"kind"`
}

// Lease says who may hold soft locks on the rows of a resource.
type Lease struct {
	Resource   string        `mapstructure:"resource"`
	Tenant     string        `mapstructure:"tenant"`
	Grants     []string      `mapstructure:"grants"`
	MaxPerUser int           `mapstructure:"max_per_user"`
	MaxTTL     time.Duration `mapstructure:"max_ttl"`
}

// Presence says which rooms there are.
type Presence struct {
	Rooms []Room `mapstructure:"rooms"`
}

// Room is a pattern of presence rooms.
type Room struct {
	Pattern string   `mapstructure:"pattern"`
	Tenant  string   `mapstructure:"tenant"`
	Grants  []string `mapstructure:"grants"`
	Editing bool     `mapstructure:"editing"`
}

// Metric is a live query of a dashboard.
type Metric struct {
	SQL         string        `mapstructure:"sql"`
	RefreshOn   []string      `mapstructure:"refresh_on"`
	MinInterval time.Duration `mapstructure:"min_interval"`
	MaxInterval time.Duration `mapstructure:"max_interval"`
	Tenant      string        `mapstructure:"tenant"`
	Audience    []string      `mapstructure:"audience"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `mapstructure:"level"`  // debug, info, warn or error
	Format string `mapstructure:"format"` // json or console
}
