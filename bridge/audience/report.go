package audience

import (
	"context"
	"net/http"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/config"
)

// KeyReport is what a key server publishes, as far as it concerns one issuer.
type KeyReport struct {
	Keys    map[string]int // how many verify each of the issuer's algorithms
	Unnamed map[string]int // those of them without a kid
	Skipped []string       // why others are not used, once each
}

// FetchKeys fetches the set at the issuer's jwks_url once, as an Authority does. A nil client trusts the system's
// certificates. The error says what the server did.
func FetchKeys(ctx context.Context, cfg config.JWT, client *http.Client) (*KeyReport, error) {
	if client == nil {
		client = newClient()
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	set, err := fetchSet(ctx, secured(client), cfg.JWKSURL, cfg.Algorithms)
	if err != nil {
		return nil, err
	}
	report := &KeyReport{Keys: map[string]int{}, Unnamed: map[string]int{}, Skipped: set.skipped}
	for algorithm, keys := range set.keys {
		report.Keys[algorithm] = len(keys)
		for _, k := range keys {
			if k.Marshal().KID == "" {
				report.Unnamed[algorithm]++
			}
		}
	}
	return report, nil
}

// CheckQueries runs the configured queries as Authority.Check does; it needs no keys. The error says which and why.
func CheckQueries(ctx context.Context, cfg config.Auth, db Querier) error {
	return newDirectory(cfg, db, newFaults(&Stats{}, zap.NewNop())).check(ctx)
}
