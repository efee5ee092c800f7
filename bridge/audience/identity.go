// Package audience says who is asking and what they may see: it finds the token in a request, verifies it, and makes
// of its claims, and of the configured queries, an Identity with the grants that events are routed by.
//
// What is trusted: the configuration, the keys that it names, and a claim once the signature over it is verified.
// What is not: everything else that comes with a request, the token's header and its issuer claim included. They may
// choose among the configured keys and algorithms, never add to them, since each key is bound to its algorithms when
// the Authority is made.
package audience

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

// Identity is an authenticated user and what they may see. It is not changed after it was made, and holds nothing of
// the token that it came from.
type Identity struct {
	Issuer string // auth.jwt.issuer or a name of auth.issuers; empty where none is configured
	User   string // never empty
	Tenant string // empty only in an installation without tenants
	Name   string // to display; may be empty

	// Grants are scoped (change.Scope), sorted and without duplicates: each grant once for the tenant and once for
	// change.AnyTenant.
	Grants []string

	Expires time.Time // the token's exp; it is accepted for auth.jwt.leeway longer

	own  *own   // nil where there are no queries
	asOf uint64 // of the queries' answer, see memo
}

// Digest returns a short text that is the same, on every node, for as long as the same user of the same tenant may see the
// same. Who comes back with a cursor learns from it that the past was judged by other grants; and a browser's tabs share
// a connection where it is the same, so it must never be for two people, whatever their names are made of.
func (id *Identity) Digest() string {
	h := sha256.New()
	length := make([]byte, 8)
	for _, text := range append([]string{id.Issuer, id.Tenant, id.User}, id.Grants...) {
		binary.BigEndian.PutUint64(length, uint64(len(text))) // no text can take the place of two
		h.Write(length)
		h.Write([]byte(text))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// ErrUnavailable is in the chain of every error of Identify that is not the asker's fault: a query that fails or takes
// too long. It says nothing about the token, so it must not be taken for a refusal, still less for nobody.
var ErrUnavailable = errors.New("identity unavailable")

// Refusal is the error for a token that is not accepted.
type Refusal struct {
	Reason string // a few words for the client, at most 100 bytes; never the token or what a claim holds
}

// maxReason keeps a reason within a close frame (RFC 6455, section 5.5.1: 123 bytes).
const maxReason = 100

// Error says why.
func (r *Refusal) Error() string { return "refuse token: " + r.Reason }

func refuse(reason string) error {
	return &Refusal{Reason: shorten(reason, maxReason)}
}

// The bounds of what one identity may hold in memory.
const (
	maxGrants = 4096 // before scoping
	maxValue  = 512  // bytes of a user, a tenant or a grant
	maxName   = 256  // bytes of a display name
)

// scoped returns the grants in both scopes, each string in memory of its own: some are kept as keys of an index for
// longer than the identity lives.
func scoped(tenant string, grants []string) []string {
	slices.Sort(grants)
	grants = slices.Compact(grants)
	out := make([]string, 0, 2*len(grants))
	for _, g := range grants {
		out = append(out, change.Scope(tenant, g), change.Scope(change.AnyTenant, g))
	}
	slices.Sort(out)
	return out
}
