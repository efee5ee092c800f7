package audience

import (
	"fmt"
	"testing"
)

func TestDigestTellsPeopleAndTheirGrantsApart(t *testing.T) {
	t.Parallel()
	someone := func(issuer, tenant, user string, grants ...string) *Identity {
		return &Identity{Issuer: issuer, Tenant: tenant, User: user, Grants: grants}
	}
	seen := map[string]string{}
	for _, id := range []*Identity{
		someone("i", "t", "42"),
		someone("i", "t", "42", "a"),
		someone("i", "t", "42", "a", "b"),
		someone("i", "t", "42", "ab"),
		someone("i", "t", "42", "a\nb"),
		someone("i", "t", "42", ""),
		someone("i", "t", "43", "a"),
		someone("i", "u", "42", "a"),
		someone("j", "t", "42", "a"),
		someone("", "it", "42", "a"),
		someone("it", "", "42", "a"),
		someone("i", "t4", "2", "a"),
		someone("i", "t", "", "42", "a"),
		someone("i", "", "t", "42", "a"),
		someone("", "i", "t", "42", "a"),
	} {
		what := fmt.Sprintf("%q", []any{id.Issuer, id.Tenant, id.User, id.Grants})
		digest := id.Digest()
		if other, taken := seen[digest]; taken {
			t.Errorf("%s has the digest of %s", what, other)
		}
		seen[digest] = what
	}
}

func TestDigestIsOfNothingElse(t *testing.T) {
	t.Parallel()
	one := &Identity{Issuer: "i", Tenant: "t", User: "42", Name: "Siti", Grants: scoped("t", []string{"b", "a"})}
	two := &Identity{Issuer: "i", Tenant: "t", User: "42", Name: "S. Rahma", Grants: scoped("t", []string{"a", "b", "a"})}
	if one.Digest() != two.Digest() {
		t.Error("the same user with the same grants has two digests")
	}
	before := fmt.Sprint(one.Grants)
	one.Digest()
	if fmt.Sprint(one.Grants) != before {
		t.Error("the digest changed the grants")
	}
}
