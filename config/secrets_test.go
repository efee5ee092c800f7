package config

import (
	"strings"
	"testing"
)

// Whatever is wrong with the address of the database, nothing of the password in it is repeated.
func TestNoPasswordInProblems(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"postgres://u:hun#ter2hunter2@h:5432/x", "postgres://u:hunter2@h:port/x", "postgres://u:hunter2@h:99999/x", "postgres://u:%hunter2@h/x",
		"postgres://u:hunter2@[::1/x", "postgres://u:hunter2@h/x?sslmode=maybe", "postgres://u:hunter2@h/x?sslmode=verify-full&sslrootcert=/none",
		"postgres://u:hun\x01ter2hunter2@h/x", "postgres://u:a/hunter2@h/x", "postgres://u:a?hunter2@h/x", "postgres://u:a@hunter2@h:x/x",
		"postgres://u@h/x?password=hunter2&port=x", "postgres://u:hunter2@h/x?connect_timeout=soon", "mysql://u:hunter2@h/x",
		"host=h user=u password=hunter2 port=x", "host=h password='it''s hunter2' port=x", "host=h password=a hunter2", `host=h password='a\' hunter2' port=x`,
		`host=h password = 'hunter2' sslmode=maybe`, "password=hunter2 host", "host=h passfile=/none password=hunter2 target_session_attrs=x",
		"postgres://u:hunter2@h/x?target_session_attrs=x", "postgres://u:hunter2@h/x?service=none", "hunter2", "hunter2@h/x", "u:hunter2@h",
	} {
		for _, key := range []string{"DATABASE_URL", "ROWFEED_DATABASE_URL", "ROWFEED_DATABASE_ADMIN_URL"} {
			c, found := load(t, "", key+"="+address)
			text := found.Under("database").Error()
			if text == "" && c.Database.URL == "" && c.Database.AdminURL == "" {
				t.Errorf("%s=%s: not read", key, address)
			}
			if strings.Contains(text, "hunter2") || strings.Contains(text, "ter2") {
				t.Errorf("%s=%s: %s", key, address, text)
			}
		}
	}
}

// No other secret is repeated either.
func TestNoSecretInProblems(t *testing.T) {
	t.Parallel()
	for _, environ := range [][]string{
		{"ROWFEED_AUTH_JWT_SECRET=hunter2"},
		{"ROWFEED_AUTH_JWT_SECRET=hunter2hunter2hunter2hunter2hunter2", "ROWFEED_AUTH_JWT_ALGORITHMS=RS256"},
		{"ROWFEED_AUTH_JWT_SECRET=hunter2hunter2hunter2hunter2hunter2", "ROWFEED_AUTH_JWT_SECRET_FILE=/none"},
		{"ROWFEED_AUTH_JWT_SECRET=hunter2hunter2hunter2hunter2hunter2", "ROWFEED_AUTH_JWT_ALGORITHMS=HS512"},
		{`ROWFEED_AUTH_ISSUERS=[{name: partner, algorithms: [HS256], secret: hunter2}]`},
		{`ROWFEED_AUTH_ISSUERS=[{name: partner, algorithms: [HS256], secret: [hunter2]}]`},
		{`ROWFEED_AUTH_JWT={secret: [hunter2]}`},
		{`ROWFEED_AUTH_JWT={secret: {hunter2: x}}`},
	} {
		_, found := load(t, "", environ...)
		if text := found.Under("auth").Error(); text == "" || strings.Contains(text, "hunter2") {
			t.Errorf("%q: %q", environ, text)
		}
	}
	_, found := load(t, "auth: {jwt: {algorithms: [HS256], secret: [hunter2]}}")
	if text := found.Error(); strings.Contains(text, "hunter2") {
		t.Errorf("in the file: %s", text)
	}
}
