package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// anyTenant is what a rule says that is meant for every tenant.
const anyTenant = "any"

var (
	channelName  = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)
	eventName    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)
	resourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}$`) // a segment of the endpoint's path
)

// frameTypes are the types of the protocol's own frames: an event by such a name could not be told from them.
var frameTypes = []string{
	"auth", "auth_expiring", "error", "heartbeat", "lease", "notification_count", "notifications", "ping", "pong",
	"presence", "resync", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "welcome",
}

func (c *checker) channels(cfg *Config) {
	if len(cfg.Channels) == 0 {
		c.add("channels", "there are none", "write one with its rules into "+DefaultFile+", or name the file with --config")
	}
	keys := rowKeys{}
	for _, name := range sorted(cfg.Channels) {
		channel, key := cfg.Channels[name], join("channels", name)
		switch {
		case name == "metrics" || name == "presence":
			c.add(key, "is the name of a channel that is there by itself", "choose another")
		case !channelName.MatchString(name):
			c.add(key, "can't be the name of a channel", "write at most 40 of a-z, 0-9, _ and -, a letter first")
		}
		c.oneOf(key+".class", channel.Class, Lossless, Latest)
		c.oneOf(key+".wake", channel.Wake, "auto", "notify", "sweep")
		if len(channel.Rules) == 0 {
			c.add(key+".rules", "there are none", "write at least one, or remove the channel")
		}
		for i, rule := range channel.Rules {
			at := fmt.Sprintf("%s.rules[%d]", key, i)
			c.rule(at, rule, cfg.Auth)
			same := func(other Rule) bool { return reflect.DeepEqual(rule, other) }
			keys.check(c, at, rule)
			if first := slices.IndexFunc(channel.Rules, same); first < i {
				c.add(at, fmt.Sprintf("is the same as rules[%d]: everybody would hear twice", first), "remove one of them")
			}
		}
	}
}

func (c *checker) rule(key string, r Rule, auth Auth) {
	c.table(key+".table", r.Table)
	switch {
	case r.Event == "":
		c.add(key+".event", "is not set", "name what happened, such as stock_changed")
	case slices.Contains(frameTypes, r.Event):
		c.add(key+".event", quote(r.Event)+" is the type of a frame of the protocol", "choose another name")
	case !eventName.MatchString(r.Event):
		c.add(key+".event", quote(r.Event)+" can't be an event's name", "write at most 64 letters, digits, _ and -")
	}
	switch {
	case r.Resource == "":
		c.add(key+".resource", "is not set", "name it as the frontend calls the table, such as stock-levels")
	case !resourceName.MatchString(r.Resource):
		c.add(key+".resource", quote(r.Resource)+" can't be part of an address",
			"write at most 64 letters, digits, _, - and dots")
	}
	c.columns(key, r)
	for i, operation := range r.Operations {
		at := fmt.Sprintf("%s.operations[%d]", key, i)
		if c.oneOf(at, operation, "insert", "update", "delete"); slices.Contains(r.Operations[:i], operation) {
			c.add(at, operation+" is there twice", "remove one")
		}
	}
	c.audience(key, r.Audience)
	c.tenant(key+".tenant", r.Tenant, auth)
	c.template(key+".message", r.Message)
	c.template(key+".link", r.Link)
	if r.Inbox != nil {
		c.inbox(key+".inbox", *r.Inbox)
	}
}

// columns checks what a rule captures, and that what it sends and watches is among it.
func (c *checker) columns(key string, r Rule) {
	if len(r.Columns) == 0 {
		c.add(key+".columns", "is not set", "list the columns that the rule reads or sends")
		return
	}
	for i, column := range r.Columns {
		at := fmt.Sprintf("%s.columns[%d]", key, i)
		switch {
		case column == "" || len(column) > 63 || strings.ContainsRune(column, 0):
			c.add(at, quote(column)+" can't be a column", "write its name")
		case slices.Contains(r.Columns[:i], column):
			c.add(at, quote(column)+" is there twice", "remove one")
		}
	}
	known := func(at, column string) {
		if slices.Contains(r.Columns, column) {
			return
		}
		do := "add it there"
		if near := nearest(column, slices.Values(r.Columns)); near != "" {
			do = "did you mean " + near + "? Else add it there"
		}
		c.add(at, quote(column)+" is not among the rule's columns", do)
	}
	for i, column := range r.Watch {
		known(fmt.Sprintf("%s.watch[%d]", key, i), column)
	}
	for i, column := range r.Strings {
		known(fmt.Sprintf("%s.strings[%d]", key, i), column)
	}
	for _, name := range sorted(r.Data) {
		if name == "" {
			c.add(key+".data", "has a field without a name", "write name: column")
			continue
		}
		known(join(key+".data", name), r.Data[name])
	}
}

// table checks the name of a table, with or without its schema.
func (c *checker) table(key, table string) {
	const do = "write schema.table, or the name of a table in public"
	bad := func(part string) bool {
		if inner, quoted := strings.CutPrefix(part, `"`); quoted {
			part = strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `""`, `"`)
		}
		return len(part) > 63 || clean(part) != part
	}
	parts := tablePattern.FindStringSubmatch(table)
	switch {
	case table == "":
		c.add(key, "is not set", do)
	case parts == nil || parts[1] != "" && bad(parts[1]) || bad(parts[2]):
		c.add(key, quote(table)+" is not the name of a table", do)
	}
}

// tablePattern is a name with or without a schema, each part in double quotes where it holds a dot or one of these.
var tablePattern = regexp.MustCompile(`^(?:([^".]+|"(?:[^"]|"")+")\.)?([^".]+|"(?:[^"]|"")+")$`)

// audience checks who is to receive something.
func (c *checker) audience(key string, audience []string) {
	if len(audience) == 0 {
		c.add(key+".audience", "is not set: nobody would receive it", "list grants such as user:{user_id} or role:manager")
	}
	c.templates(key+".audience", audience)
}

func (c *checker) templates(key string, list []string) {
	for i, text := range list {
		at := fmt.Sprintf("%s[%d]", key, i)
		if c.template(at, text); text == "" {
			c.add(at, "is empty", "write a text such as role:manager, or remove it")
		}
	}
}

// tenant checks that a rule says whose it is where tokens have a tenant, and does not where they have none.
func (c *checker) tenant(key, tenant string, auth Auth) {
	c.template(key, tenant)
	tenants := auth.UserQuery != "" || slices.ContainsFunc(auth.Parties(), func(p Party) bool { return p.Tenant != "" })
	switch {
	case tenants && tenant == "":
		c.add(key, "is not set, and users have tenants",
			"write the column that says whose the row is, such as {company_id}, or `any` if it is meant for all of them")
	case !tenants && tenant != "" && tenant != anyTenant:
		c.add(key, quote(tenant)+", but users have no tenant: nobody would receive it",
			"set auth.tenant or auth.user_query, or write `any`")
	}
}

func (c *checker) inbox(key string, i Inbox) {
	if (len(i.To) == 0) == (i.Query == "") {
		c.add(key, "wants either `to` or `query`", "say whom the notification is for by one of them")
	}
	c.templates(key+".to", i.To)
	if i.Kind == "" {
		c.add(key+".kind", "is not set", "name the kind of notification, such as expense_decided")
	}
}

func (c *checker) leases(cfg *Config) {
	for i, lease := range cfg.Leases {
		key := fmt.Sprintf("leases[%d]", i)
		if lease.Resource == "" {
			c.add(key+".resource", "is not set", "name the resource of a rule")
		}
		c.grants(key, lease.Grants)
		c.tenant(key+".tenant", lease.Tenant, cfg.Auth)
		c.positive(key+".max_per_user", lease.MaxPerUser)
		c.duration(key+".max_ttl", lease.MaxTTL)
	}
}

func (c *checker) presence(cfg *Config) {
	for i, room := range cfg.Presence.Rooms {
		key := fmt.Sprintf("presence.rooms[%d]", i)
		if c.template(key+".pattern", room.Pattern); room.Pattern == "" {
			c.add(key+".pattern", "is not set", "write one such as documents/{id}")
		}
		c.grants(key, room.Grants)
		c.tenant(key+".tenant", room.Tenant, cfg.Auth)
	}
}

func (c *checker) grants(key string, grants []string) {
	if len(grants) == 0 {
		c.add(key+".grants", "is not set: nobody would be let in", "list grants such as role:manager")
	}
	c.templates(key+".grants", grants)
}

func (c *checker) metrics(cfg *Config) {
	for _, name := range sorted(cfg.Metrics) {
		metric, key := cfg.Metrics[name], join("metrics", name)
		if !resourceName.MatchString(name) {
			c.add(key, "can't be part of an address", "write at most 64 letters, digits, _, - and dots")
		}
		if strings.TrimSpace(metric.SQL) == "" {
			c.add(key+".sql", "is not set", "write the query whose columns are the values")
		}
		for i, table := range metric.RefreshOn {
			c.table(fmt.Sprintf("%s.refresh_on[%d]", key, i), table)
		}
		c.duration(key+".min_interval", metric.MinInterval)
		c.duration(key+".max_interval", metric.MaxInterval)
		if metric.MinInterval > metric.MaxInterval {
			c.add(key+".min_interval", "is longer than max_interval", "swap them")
		}
		c.audience(key, metric.Audience)
		c.tenant(key+".tenant", metric.Tenant, cfg.Auth)
	}
}
