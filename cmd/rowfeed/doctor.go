package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

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
	name  string
	needs needs
	run   func(context.Context, *examination) []finding
}

// needs say what a check can't do without; where that is not there, the check of it has said so.
type needs int

const (
	needsAdmin     needs = 1 << iota // examination.admin
	needsRuntime                     // examination.runtime
	needsInstalled                   // rowfeed's tables
	needsNothing   needs = 0
	needsBoth            = needsAdmin | needsRuntime
)

// checks are in the order of the report: what keeps rowfeed from working, what makes it unsafe, what makes it slow or
// unreliable.
var checks = []check{
	{"configuration", needsNothing, checkConfiguration},
	{"database", needsNothing, checkDatabase},
	{"installation", needsAdmin, checkInstallation},
	{"row security", needsRuntime, checkRowSecurity},
	{"identity queries", needsRuntime, checkQueries},
	{"rights", needsRuntime, checkRights},
	{"rights of others", needsAdmin | needsInstalled, checkOthers},
	{"search path", needsRuntime, checkSearchPath},
	{"grants tables", needsBoth, checkGrantsTables},
	{"secrets", needsNothing, checkSecrets},
	{"files", needsNothing, checkFiles},
	{"published keys", needsNothing, checkPublishedKeys},
	{"tokens", needsNothing, checkTokens},
	{"origins", needsNothing, checkOrigins},
	{"grants of claims", needsNothing, checkClaimGrants},
	{"connections", needsAdmin, checkConnections},
	{"open files", needsNothing, checkOpenFiles},
	{"notify queue", needsAdmin, checkQueue},
	{"doorbell", needsAdmin, checkDoor},
	{"outbox", needsRuntime | needsInstalled, checkOutbox},
	{"long transactions", needsAdmin, checkTransactions},
	{"prepared transactions", needsAdmin, checkPrepared},
	{"clock", needsRuntime, checkClock},
	{"settings", needsRuntime, checkSettings},
}

// examination is what the checks look at.
type examination struct {
	cfg      *config.Config
	problems config.Problems // of loading it
	path     string          // the configuration file, where one is known
	client   *http.Client    // fetches keys; nil: by the system's certificates
	now      func() time.Time
	limits   limits
	has      needs // what is there of it

	admin   *pgx.Conn
	runtime *pgx.Conn // as serve connects
}

// limits are from where on a check warns.
type limits struct {
	queue       float64       // how full the server's NOTIFY queue is, from 0 to 1
	transaction time.Duration // its age, prepared ones included
	skew        time.Duration
	size        int64 // of the outbox on disk, in bytes
	dead        int64 // rows of rowfeed's tables that vacuum has left
}

var usualLimits = limits{queue: 0.1, transaction: 5 * time.Minute, skew: 2 * time.Second, size: 10 << 30, dead: 1_000_000}

const doctorLong = `doctor looks for what makes rowfeed unsafe or unreliable although it runs: secrets and who can read
them, published keys, tokens of other programs, the queries that tell who a user is and what they may
see, and the tables behind them; a pooler or a standby in the way, rights that lack and rights too
many, what holds up the server's NOTIFY queue, vacuum and the outbox, and limits that are too low.

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
			x := &examination{cfg: cfg, problems: problems, path: env.configFile(), client: env.client, now: time.Now, limits: usualLimits}
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
	defer x.close(ctx)
	var all []finding
	for _, c := range checks {
		if x.has&c.needs != c.needs {
			continue
		}
		for _, f := range c.run(ctx, x) {
			f.Check = c.name
			all = append(all, f)
		}
	}
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
