package config

import "fmt"

// Party is an issuer of tokens with all that concerns it: auth.jwt, or one of auth.issuers.
type Party struct {
	Key       string // auth.jwt or auth.issuers[0], for messages
	JWT       JWT    // its Issuer is what the iss claim says
	User      string // template
	UserKey   string // where that is configured
	Tenant    string // template; empty: none
	TenantKey string
	Grants    []string // templates
	GrantsKey string
}

// Parties returns all issuers, auth.jwt first. What an issuer leaves out of user and tenant is taken from auth; claims
// and grants are not, since what one issuer vouches for is nothing that another may say.
func (a Auth) Parties() []Party {
	all := []Party{{
		Key: "auth.jwt", JWT: a.JWT, User: a.User, UserKey: "auth.user", Tenant: a.Tenant, TenantKey: "auth.tenant",
		Grants: a.Grants, GrantsKey: "auth.grants",
	}}
	for i, issuer := range a.Issuers {
		key := fmt.Sprintf("auth.issuers[%d]", i)
		p := Party{
			Key: key,
			JWT: JWT{
				Issuer: issuer.Name, Algorithms: issuer.Algorithms, Secret: issuer.Secret, SecretFile: issuer.SecretFile,
				PublicKeyFile: issuer.PublicKeyFile, JWKSURL: issuer.JWKSURL, Audience: issuer.Audience, Claims: issuer.Claims,
				Leeway: a.JWT.Leeway,
			},
			User: issuer.User, UserKey: key + ".user", Tenant: issuer.Tenant, TenantKey: key + ".tenant",
			Grants: issuer.Grants, GrantsKey: key + ".grants",
		}
		if p.User == "" {
			p.User, p.UserKey = a.User, "auth.user"
		}
		if p.Tenant == "" {
			p.Tenant, p.TenantKey = a.Tenant, "auth.tenant"
		}
		all = append(all, p)
	}
	return all
}
