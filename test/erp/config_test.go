package erp

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"gopkg.in/yaml.v3"

	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
)

// configured is what these tests read of the configuration.
type configured struct {
	Auth struct {
		UserQuery   string `yaml:"user_query"`
		GrantsQuery string `yaml:"grants_query"`
	}
	Channels map[string]struct {
		Rules []struct {
			Table                            string
			Columns, Watch, Strings          []string
			Data                             map[string]string
			Tenant, Event, Resource, Message string
			Audience                         []string
		}
	}
}

func readConfig(t *testing.T) configured {
	t.Helper()
	var c configured
	if err := yaml.Unmarshal(Config, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigFitsTheTables(t *testing.T) {
	t.Parallel()
	conn := setup(t).Connect(t)
	watched := map[string]bool{}
	for name, channel := range readConfig(t).Channels {
		for i, rule := range channel.Rules {
			where := fmt.Sprintf("channels.%s.rules[%d], %s", name, i, rule.Table)
			watched[rule.Table] = true
			there := scalar[[]string](t, conn, `select coalesce(array_agg(attname::text), '{}') from pg_attribute
				where attrelid = to_regclass($1) and attnum > 0`, rule.Table)
			contains(t, where+": table", there, rule.Columns)
			contains(t, where+": columns", rule.Columns, rule.Watch)
			contains(t, where+": columns", rule.Columns, rule.Strings)
			for _, column := range rule.Data {
				contains(t, where+": columns", rule.Columns, []string{column})
			}
			for _, text := range append(rule.Audience, rule.Message, rule.Tenant) {
				contains(t, where+": columns", rule.Columns, placeholders(text))
			}
			if rule.Event == "" || rule.Resource == "" || len(rule.Audience) == 0 {
				t.Errorf("%s: no event, resource or audience", where)
			}
		}
	}
	for _, d := range documents {
		if !watched[d.table] {
			t.Errorf("no rule for %s", d.table)
		}
	}
	for table := range unwatched {
		if watched[table] {
			t.Errorf("%s counts as unwatched, but has a rule", table)
		}
	}
}

func contains(t *testing.T, where string, all, wanted []string) {
	t.Helper()
	have := map[string]bool{}
	for _, a := range all {
		have[a] = true
	}
	for _, w := range wanted {
		if !have[w] {
			t.Errorf("%s has no %s", where, w)
		}
	}
}

// placeholders returns the names in braces.
func placeholders(text string) []string {
	var names []string
	for _, part := range strings.Split(text, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		names = append(names, name)
	}
	return names
}

func TestQueriesNeedNoMoreThanTheirGrant(t *testing.T) {
	t.Parallel()
	db := setup(t)
	role := "reader_of_" + db.Name
	db.Exec(t, "create role "+role+" login")
	reader := db.ConnectAs(t, role)
	c := readConfig(t)
	if _, err := reader.Exec(t.Context(), c.Auth.UserQuery, "1"); err == nil {
		t.Fatal("the role could read users before it was granted to")
	}
	if err := GrantQueries(t.Context(), db.Connect(t), role); err != nil {
		t.Fatal(err)
	}

	var tenant, name string
	if err := reader.QueryRow(t.Context(), c.Auth.UserQuery, "4").Scan(&tenant, &name); err != nil {
		t.Fatal(err)
	}
	if tenant != "1" || name == "" {
		t.Errorf("user 4 is %q of company %q", name, tenant)
	}
	rows, err := reader.Query(t.Context(), c.Auth.GrantsQuery, "4")
	if err != nil {
		t.Fatal(err)
	}
	grants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "grants of user 4", grants, []string{"role:warehouse", "warehouse:1", "warehouse:2"})
	if err := reader.QueryRow(t.Context(), c.Auth.UserQuery, "20").Scan(&tenant, &name); err != pgx.ErrNoRows {
		t.Errorf("user 20 has left, but: %v", err)
	}
	if _, err := reader.Exec(t.Context(), "select password from auth_user"); err == nil {
		t.Error("the role can read passwords")
	}
}

func TestConfigIsValid(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rowfeed.yaml")
	if err := os.WriteFile(file, Config, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := "ROWFEED_AUTH_JWT_SECRET=" + strings.Repeat("not a secret ", 4)
	c, err := config.Load(config.Options{Path: file, Environ: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	problems := append(c.Validate(), c.Unavailable()...)
	book, more := rule.Compile(c)
	for _, p := range append(problems, more...) {
		t.Error(p)
	}
	if book == nil {
		t.Error("the rules don't compile")
	}
}
