package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

func gateOf(name string, v Verdict, format string, args ...any) Gate {
	return Gate{name, v, fmt.Sprintf(format, args...)}
}

// clock writes a moment as reports have it: UTC, to the millisecond.
func clock(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func opWord(op change.Op) string {
	switch op {
	case change.Insert:
		return "insert"
	case change.Update:
		return "update"
	case change.Delete:
		return "delete"
	}
	return voidWord(op)
}

func voidWord(op change.Op) string {
	if op == change.Truncate {
		return "was truncated"
	}
	return "had a change that could not be captured (run `rowfeed migrate status`)"
}

func openWord(n int) string {
	switch n {
	case 0:
		return "no transaction that has written is open now"
	case 1:
		return "1 transaction that has written is open now: what it changed comes when it commits"
	}
	return strconv.Itoa(n) + " transactions that have written are open now: what they changed comes when they commit"
}

// maxListed is how many grants a sentence names.
const maxListed = 20

// listed writes scoped grants for people: user:17 of tenant 3.
func listed(scoped []string) string {
	if len(scoped) == 0 {
		return "nobody"
	}
	var texts []string
	for _, s := range scoped[:min(len(scoped), maxListed)] {
		texts = append(texts, grantWord(s))
	}
	if n := len(scoped) - maxListed; n > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(texts, ", ")
}

func grantWord(scoped string) string {
	tenant, grant, _ := strings.Cut(scoped, "\x00")
	switch tenant {
	case change.AnyTenant:
		return strconv.Quote(grant) + " of any tenant"
	case "":
		return strconv.Quote(grant)
	}
	return strconv.Quote(grant) + " of tenant " + strconv.Quote(tenant)
}

// held writes the grants that a session holds, each once: they are there for the tenant and for any.
func held(scoped []string) string {
	var texts []string
	for _, s := range scoped {
		if tenant, grant, _ := strings.Cut(s, "\x00"); tenant == change.AnyTenant {
			texts = append(texts, strconv.Quote(grant))
		}
	}
	more := ""
	if n := len(texts) - maxListed; n > 0 {
		texts, more = texts[:maxListed], fmt.Sprintf(" and %d more", n)
	}
	if len(texts) == 0 {
		return "no grants"
	}
	return strings.Join(texts, ", ") + more
}

// common returns what is in both lists.
func common(a, b []string) []string {
	var both []string
	for _, s := range a {
		if slices.Contains(b, s) {
			both = append(both, s)
		}
	}
	return both
}

// bare returns the grants without their tenants.
func bare(scoped []string) []string {
	var out []string
	for _, s := range scoped {
		if _, grant, _ := strings.Cut(s, "\x00"); !slices.Contains(out, grant) {
			out = append(out, grant)
		}
	}
	return out
}
