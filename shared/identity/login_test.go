package identity

import (
	"strings"
	"testing"

	"bindery/shared/broker"
)

// TestLoginsThatCannotBeConfigured: a secret in place of its reference above all.
func TestLoginsThatCannotBeConfigured(t *testing.T) {
	document := func(kind, login, more string) []byte {
		return []byte(`{"issuers":[{"name":"corp","issuer":"https://login.example.com","kind":"` + kind +
			`","environments":["prod"],"algorithms":["RS256"],"login":` + login + more + `}]}`)
	}
	const secret = "made-up-secret-value-1234"
	for name, bad := range map[string][]byte{
		"no client":             document("user", `{}`, ""),
		"a workload":            document("workload", `{"client_id":"c"}`, ""),
		"no secret":             document("user", `{"client_id":"c","client_auth":"client_secret_basic"}`, ""),
		"a secret for nobody":   document("user", `{"client_id":"c","client_secret":"aws-sm:prod/clients/login"}`, ""),
		"the secret itself":     document("user", `{"client_id":"c","client_auth":"client_secret_post","client_secret":"`+secret+`"}`, ""),
		"another way":           document("user", `{"client_id":"c","client_auth":"private_key_jwt"}`, ""),
		"no openid":             document("user", `{"client_id":"c","scopes":["email"]}`, ""),
		"an unknown field":      document("user", `{"client_id":"c","secret":"x"}`, ""),
		"an audience of admins": document("user", `{"client_id":"c"}`, `,"admin_audiences":["x"],"connections_audiences":["x"]`),
		"of servers":            document("user", `{"client_id":"c"}`, `,"audiences":[{"audience":"x","servers":["*"]}],"connections_audiences":["x"]`),
	} {
		if _, err := Parse(bad, false); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, err := Parse(document("user", `{"client_id":"c","client_auth":"client_secret_basic","client_secret":"aws-sm:prod/clients/login#secret"}`, ""), false)
	if err != nil {
		t.Fatal(err)
	}
	if l := d.Issuers[0].Login; l.Secret().Path() != "prod/clients/login" || len(l.Scopes) != 1 || l.ClientAuth != broker.ClientSecretBasic {
		t.Errorf("read %+v", l)
	}
}
