package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
)

// foundSomething is the exit code of doctor where a check warns or fails.
const foundSomething exitCode = 2

// The outcomes of a check.
const (
	outcomeOK   = "ok"
	outcomeWarn = "warn"
	outcomeFail = "fail"
)

// finding is what a check says: one line of the report.
type finding struct {
	Check   string `json:"check"`
	Outcome string `json:"outcome"` // ok, warn or fail
	About   string `json:"about,omitempty"`
	Do      string `json:"do,omitempty"`
}

func good(format string, args ...any) finding {
	return finding{Outcome: outcomeOK, About: fmt.Sprintf(format, args...)}
}

func warn(about, do string) finding { return finding{Outcome: outcomeWarn, About: about, Do: do} }
func fail(about, do string) finding { return finding{Outcome: outcomeFail, About: about, Do: do} }

// check is a thing that doctor looks at. It returns nothing where there is nothing to look at.
type check struct {
	name string
	run  func(context.Context, *examination) []finding
}

// checks are those that need no database, and those that do, in the order of the report.
var (
	checks = []check{
		{"configuration", checkConfiguration},
		{"secrets", checkSecrets},
		{"files", checkFiles},
		{"published keys", checkPublishedKeys},
		{"tokens", checkTokens},
		{"origins", checkOrigins},
		{"grants of claims", checkClaimGrants},
	}
	databaseChecks = []check{
		{"rights", checkRights},
		{"identity queries", checkQueries},
		{"grants tables", checkGrantsTables},
	}
)

// examination is what the checks look at.
type examination struct {
	cfg      *config.Config
	problems config.Problems // of loading it
	path     string          // the configuration file, where one is known
	client   *http.Client    // fetches keys; nil: by the system's certificates
	admin    *pgx.Conn
	runtime  *pgx.Conn // as serve connects
}

const doctorLong = `doctor looks for what makes rowfeed unsafe or unreliable although it runs: secrets and who can read
them, published keys, tokens of other programs, the queries that tell who a user is and what they may
see, and the tables behind them.

It changes nothing. It connects with database.admin_url and, to see what serve may do, with
database.url. What it says names keys of the configuration, tables and roles, never rows or secrets.

The exit code is 0 when all is well, 2 when a check warns or fails, and 1 when doctor could not run.`

func newDoctorCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Look for what is unsafe or unreliable in configuration and database",
		Long:    doctorLong,
		Example: "  rowfeed doctor\n  rowfeed doctor --json | jq '.[] | select(.outcome != \"ok\")'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, problems, err := env.load()
			if err != nil {
				return err
			}
			if !cfg.Given() {
				return errNoConfig
			}
			x := &examination{cfg: cfg, problems: problems, path: env.configFile(), client: env.client}
			findings := x.examine(cmd.Context())
			if err := report(env.stdout, findings, asJSON); err != nil {
				return err
			}
			for _, f := range findings {
				if f.Outcome != outcomeOK {
					return foundSomething
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array of {check, outcome, about, do}")
	return cmd
}

// configFile returns the configuration file that is read, or would be.
func (e *environment) configFile() string {
	if e.configPath != "" {
		return e.configPath
	}
	if path := e.variable("ROWFEED_CONFIG"); path != "" {
		return path
	}
	return config.DefaultFile
}

// examine runs all checks.
func (x *examination) examine(ctx context.Context) []finding {
	var all []finding
	run := func(list []check) {
		for _, c := range list {
			for _, f := range c.run(ctx, x) {
				f.Check = c.name
				all = append(all, f)
			}
		}
	}
	run(checks)
	closing, err := x.connect(ctx)
	defer closing()
	if err != nil {
		f := fail(oneLine(err.Error()), "make it reachable; the queries and tables were not looked at")
		f.Check = "database"
		return append(all, f)
	}
	if err := change.CheckServer(x.admin.PgConn().ParameterStatus("server_version")); err != nil {
		f := fail(err.Error(), "upgrade the server; the queries and tables were not looked at")
		f.Check = "database"
		return append(all, f)
	}
	run(databaseChecks)
	return all
}

// checkConfiguration says why serve would not start, if so. The other checks look at what there is all the same.
func checkConfiguration(_ context.Context, x *examination) []finding {
	problems := x.cfg.Locate(append(slices.Clone(x.problems), x.cfg.Validate()...))
	found := make([]finding, 0, len(problems))
	for _, p := range problems {
		do := p.Do
		p.Do = ""
		found = append(found, fail(p.String(), do))
	}
	if len(found) == 0 {
		found = append(found, good("has all that it needs"))
	}
	return found
}

// connect opens both connections; what it returns closes those that it opened.
func (x *examination) connect(ctx context.Context) (closing func(), err error) {
	closing = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		for _, conn := range []*pgx.Conn{x.admin, x.runtime} {
			if conn != nil {
				_ = conn.Close(ctx) // nothing is left to lose
			}
		}
	}
	if x.admin, err = connectAdmin(ctx, x.cfg.Database); err != nil {
		return closing, err
	}
	cfg, err := bridge.DatabaseConfig(x.cfg.Database.URL)
	if err != nil {
		return closing, fmt.Errorf("parse database.url: write it as postgres://user@host:5432/database")
	}
	cfg.RuntimeParams["application_name"] = "rowfeed doctor"
	if x.runtime, err = pgx.ConnectConfig(ctx, cfg); err != nil {
		return closing, fmt.Errorf("connect as serve does: %s: check database.url",
			strings.Join(strings.Fields(err.Error()), " "))
	}
	return closing, nil
}

// report prints the findings, a line each and what to do below it.
func report(w io.Writer, findings []finding, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(findings)
	}
	for _, f := range findings {
		if _, err := fmt.Fprintf(w, "%-4s  %s: %s\n", f.Outcome, f.Check, oneLine(f.About)); err != nil {
			return err
		}
		if f.Do != "" {
			fmt.Fprintf(w, "      %s\n", oneLine(f.Do))
		}
	}
	return nil
}
